"""Markdown from plain text: tables, code spans, anchors. Nothing of a machine gets through."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tabulate import tabulate

#: An absolute path of two parts or more; pages keep its last part only.
_PATH = re.compile(r"(?<![\w./:@-])(?:[A-Za-z]:)?(?:[/\\][\w.+@~-]+){2,}")
#: What Markdown would take for its own in running text.
_SPECIAL = re.compile(r"([\\`*_|<>\[\]])")
_PADDING = re.compile(r" {2,}")
_RULES = {"left": "---", "right": "---:", "center": ":---:"}
_LONG = 160


def scrub(text: str) -> str:
    """`text` on one line, with absolute paths cut to their last part."""
    return _PATH.sub(lambda match: re.split(r"[/\\]", match.group())[-1], " ".join(text.split()))


def shorten(text: str, limit: int = _LONG) -> str:
    text = scrub(text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def plain(text: str, limit: int = _LONG) -> str:
    """Text safe as running words of a table cell."""
    return _SPECIAL.sub(r"\\\1", shorten(text, limit))


def words(text: str) -> str:
    """`plain`, at any length, of a text in which backticks make code spans."""
    parts = re.split(r"`([^`]*)`", scrub(text))
    return "".join(code(part) if number % 2 else _SPECIAL.sub(r"\\\1", part) for number, part in enumerate(parts))


def code(text: str, limit: int = _LONG) -> str:
    """A code span that may stand in a table; a pipe would end the cell even inside a span."""
    text = shorten(text, limit).replace("|", "\\|")
    if not text:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence} {text} {fence}" if len(fence) > 1 else f"`{text}`"


def codes(names: Iterable[str], limit: int | None = 12) -> str:
    """Names as code spans; with a limit the first ones, and how many more there are."""
    names = list(names)
    shown = ", ".join(code(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if limit is not None and len(names) > limit else "")


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], align: Sequence[str] | None = None) -> str:
    """A GitHub table. Not padded: one longer name would otherwise change every line of a committed page."""
    rows = [[str(value) if value is not None else "" for value in row] for row in rows]
    text = tabulate(rows, headers=list(headers), tablefmt="github", disable_numparse=True, colalign=align)
    head, _, *body = text.splitlines()
    rule = "|" + "|".join(_RULES[side] for side in align or ["left"] * len(headers)) + "|"
    squeezed = [_PADDING.sub(" ", line) for line in (head, *body)]
    return "\n".join([squeezed[0], rule, *squeezed[1:]])


def anchor(heading: str) -> str:
    """The id GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
