"""The rules and options of the Core ML partitioner as a page shows them: what each says, where, and how it is tried.

The table itself is in `harness/cases/partitioner.py`; what lies here adds the lines of the source file, in the version
of ExecuTorch that the first line names. Written by `coreml-harness index partitioner`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.evidence.made_with import first_line, made_with, released
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError, Kind

#: The first part of the ids of the cases that try them; their programs are not lowered as a user's would be.
SUITE = "partitioner"
SOURCE_FILE = "executorch/backends/apple/coreml/partition/coreml_partitioner.py"
#: What a rule is about, and its word in a case's id.
KINDS = ("rejects", "decomposes", "reaches", "option")


@dataclass(frozen=True)
class PartitionerRule:
    """One rule or option. `line` is that of `SOURCE_FILE` which states it, from 1; 0 when it is not there (any more).

    `reason`: whether the rule stands for `conversion`, for what happens on a `device`, or for `speed`.
    """

    name: str
    kind: str
    op: str
    says: str
    line: int
    programs: tuple[str, ...]
    url: str = ""
    reason: str = "conversion"


@dataclass(frozen=True)
class Trial:
    """A rule tried on one of its programs, as it stands or switched off: `rejects-argmax-off-0`.

    `program` is what tells the programs of a rule apart: letters and digits.
    """

    rule: str
    switched_off: bool
    program: str

    def __str__(self) -> str:
        """The last part of the case's id."""
        return f"{self.rule}-{'off' if self.switched_off else 'on'}-{self.program}"

    @staticmethod
    def of(record: Record) -> Trial:
        """What a record of kind `partitioner` tried; raises `HarnessError` where its case is no trial."""
        rule, word, program = (["", "", ""] + record.case.rpartition("/")[2].rsplit("-", 2))[-3:]
        if word not in ("on", "off") or not program.isalnum():
            raise HarnessError(f"{record.case}: no trial of a rule of the partitioner")
        return Trial(rule, word == "off", program)


def is_switched_off(record: Record) -> bool:
    """True for a check that made the partitioner take what it rejects or never meets: no user's program by default."""
    return record.kind is Kind.PARTITIONER and Trial.of(record).switched_off


#: The table; its first line has the version it was made with.
PATH = Path(__file__).with_name("partitioner-rules.jsonl")


def to_text(rows: Iterable[PartitionerRule], executorch: str) -> str:
    lines = (json.dumps(dataclasses.asdict(row)) + "\n" for row in rows)
    return first_line({"executorch": executorch}) + "".join(lines)


def read_rules(executorch: str) -> list[PartitionerRule]:
    """The table of a version, empty when it is of another; `HarnessError` when it cannot be read."""
    try:
        text = PATH.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{PATH}: no table of rules: {error}") from None
    versions = made_with(text)
    if not versions:
        raise HarnessError(f"{PATH}: no table of rules: its first line has no versions")
    if versions != {"executorch": released(executorch)}:
        return []
    try:
        rows = [json.loads(line) for line in text.splitlines()[1:]]
        return [PartitionerRule(**{**row, "programs": tuple(row["programs"])}) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise HarnessError(f"{PATH}: no table of rules: {error}") from None
