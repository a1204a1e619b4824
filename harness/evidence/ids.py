"""What the ids of cases, checks and test items hold: the one place that puts them together and takes them apart."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence.vocabulary import HarnessError

#: First parts of ids of cases that no suite has: of a user's own file, and of calls that exploring drew.
USER, EXPLORED = "check", "explore"


def check_id(case: str, recipe: str, unit: str) -> str:
    """The id of a check: `<case>@<recipe>@<unit>`."""
    return f"{case}@{recipe}@{unit}"


def split_check_id(text: str) -> tuple[str, str, str]:
    """`(case, recipe, unit)`; raises `HarnessError` when `text` is not a check id."""
    parts = text.split("@")
    if len(parts) != 3 or not all(parts):
        raise HarnessError(f"{text!r} is not a check id: expected <case>@<recipe>@<unit>")
    return parts[0], parts[1], parts[2]


def part_of_id(text: str, instead: str = "") -> str:
    """A text as it may stand in the id of a case: with something else for the sign that ends the case in a check's."""
    return text.replace("@", instead)


def suite_of(case_id: str) -> str:
    """The suite a case is of: the first part of its id."""
    return case_id.partition("/")[0]


@dataclass(frozen=True)
class UserCase:
    """A function of a user's file, which the id names by its stem alone: `mine` for `models/mine.py`."""

    stem: str
    function: str

    @property
    def id(self) -> str:
        return f"{USER}/{self.stem}/{self.function}"

    @classmethod
    def of(cls, case_id: str) -> UserCase | None:
        """None for the case of a suite. The name of a function holds no slash; a stem may.

        Raises `HarnessError` for one of a user's file that names no function."""
        suite, _, rest = case_id.partition("/")
        if suite != USER:
            return None
        stem, _, function = rest.rpartition("/")
        if not stem or not function:
            raise HarnessError(f"{case_id!r} is no id of a case of your own file: expected {USER}/<file>/<function>")
        return cls(stem, function)


def explored_id(call: str) -> str:
    """The id of a case that is nothing but a call."""
    return f"{EXPLORED}/{call}"


def explored_call(case_id: str) -> str | None:
    """The call that the id of an explored case holds; None for any other case."""
    suite, _, call = case_id.partition("/")
    return call if suite == EXPLORED else None


def case_of_item(nodeid: str) -> str:
    """What the items of one case share: a test item's id up to the recipe. All of it where it is no check."""
    return nodeid.split("@", 1)[0]


def check_of_item(nodeid: str) -> str | None:
    """The check id in a test item's id, `<path>::<test>[<check id>]`; None for an item that is no check."""
    _, _, inside = nodeid.partition("[")
    if not inside.endswith("]") or inside.count("@") != 2 or "/" not in inside:
        return None
    return inside[:-1]
