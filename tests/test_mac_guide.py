"""docs/mac.md against the project: its messages, units and targets are there. Commands and links: `test_docs.py`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Outcome, Phase

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "mac.md"
OTHERS = ("pip", "coremltools", "Core ML", "ExecuTorch", "macOS")
GAP = "\0"


def troubleshooting(text: str) -> list[list[str]]:
    """The rows of the table of messages: message, of whom, cause, remedy."""
    table = text.partition("## Troubleshooting")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    assert rows[0] == ["message", "of", "cause", "remedy"]
    return rows[2:]


def said_by_the_harness() -> list[str]:
    """Every text in the sources; what is filled in is a gap, but for constants of the same module."""
    texts = []
    for path in sorted((ROOT / "harness").rglob("*.py")):
        tree = ast.parse(path.read_text())
        constants = {
            target.id: str(node.value.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(_part(value, constants) for value in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def _part(value: ast.expr, constants: dict[str, str]) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    name = value.value.id if isinstance(value, ast.FormattedValue) and isinstance(value.value, ast.Name) else ""
    return constants.get(name, GAP)


def unsaid(cell: str, said: list[str]) -> list[str]:
    """The messages of a cell that the harness does not say; outcomes and phases are messages too."""
    known = {*map(str, Outcome), *map(str, Phase)}
    return [m for m in re.findall(r"`([^`]+)`", cell) if m not in known and not any(_says(t, m) for t in said)]


def _says(text: str, message: str) -> bool:
    fragments = [re.escape(part) for part in message.split("...") if part.strip()]
    return re.search(".*".join(fragments), text, re.DOTALL) is not None


def test_every_message_of_ours_is_still_said() -> None:
    said = said_by_the_harness()
    rows = [row for row in troubleshooting(GUIDE.read_text()) if row[1] == "harness"]
    assert len(rows) >= 15
    assert {row[0]: missing for row in rows if (missing := unsaid(row[0], said))} == {}


def test_a_message_nobody_says_is_found() -> None:
    said = said_by_the_harness()
    assert unsaid("`Core ML predicts only on macOS; this is ...`, `crash`", said) == []
    assert unsaid("`Core ML predicts only on Windows; this is ...`", said) != []


def test_every_message_of_others_has_a_public_source() -> None:
    rows = [row for row in troubleshooting(GUIDE.read_text()) if row[1] != "harness"]
    assert {row[1] for row in rows} <= set(OTHERS)
    unsourced = [row[0] for row in rows if not any("https://" in cell for cell in row)]
    # Said by the packages themselves: the contract test reads the same wheels.
    assert unsourced == [
        "`MLComputePlan is only available on macOS >= 14.4`",
        "`You will not be able to run predict() on this Core ML model`",
        "`Multifunction CoreML models require iOS 18.0+ / macOS 15.0+ SDK to build.`",
    ]


def test_units_and_targets_named_in_the_text_exist() -> None:
    text = GUIDE.read_text()
    for unit in re.findall(r"--unit '?([^'`\s]+(?: iPhone[^'`\s]*)?)", text):
        UnitSpec.parse(unit)
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)`", text):
        assert f"\n{target}:" in makefile, target
