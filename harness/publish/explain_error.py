"""What is known of a text met elsewhere, in words: its causes, and what the runtimes' own words mean."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.causes import Cause
from harness.evidence.error_texts import STEPS, ErrorText, Match, find_causes, find_texts
from harness.publish.explain import help_lines

NOTHING = (
    "no known error stands in this text. Give the whole traceback, or the log from its first error on; "
    "`coreml-harness check FILE` lowers a module and explains what it meets."
)


def explain_error(text: str, causes: Sequence[Cause], texts: Sequence[ErrorText]) -> str:
    """Each cause that may be behind the text, best first, then each known text in it; empty where there is none.

    What is generally known of lowering is told where no cause is.
    """
    matches = find_causes(text, causes, texts)
    told = [known for known in find_texts(text, texts) if not known.cause and not (matches and known.step == STEPS[0])]
    head = []
    if len(matches) > 1:
        best = "; the text names an operator of the first" if matches[0].named else ""
        head = [f"{len(matches)} causes show such a text: `when` and operators tell them apart{best}."]
    return "\n\n".join([*head, *map(_cause, matches), *map(_text, told)])


def _cause(match: Match) -> str:
    cause = match.cause
    lines = [f"cause {cause.cause}: {cause.title} ({cause.stage})", cause.sees, *help_lines(cause)]
    lines += [f"operators: {', '.join(match.operators)}"] if match.operators else []
    return "\n  ".join(lines)


def _text(known: ErrorText) -> str:
    return "\n  ".join([f"{known.step}: {known.means}", f"what to do: {known.remedy}", f"source: {known.source}"])
