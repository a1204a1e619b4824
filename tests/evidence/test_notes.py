from __future__ import annotations

import pytest

from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import Record


@pytest.mark.parametrize("code", NoteCode)
def test_a_note_comes_back_from_a_record_with_its_code(record, code: NoteCode) -> None:
    note = Note(code, "output y: lost a value")
    (again,) = Record.from_json(record(notes=[note]).to_json()).notes
    assert again == note
    assert again.code is code


def test_a_note_is_printed_as_its_detail_alone() -> None:
    assert (
        str(Note(NoteCode.STILL_WRONG, "still wrong with every float widened"))
        == "still wrong with every float widened"
    )


@pytest.mark.parametrize(
    ("code", "detail", "words"),
    [
        (NoteCode.OPERATOR, "aten.gelu.default", "at operator aten.gelu.default"),
        (NoteCode.INPUT, "x", "at input x"),
        (NoteCode.SOURCE, "net.py:12, in forward", "in your source: net.py:12, in forward"),
        (
            NoteCode.DTYPE_CHANGED,
            "aten.arange.default",
            "aten.arange.default has another dtype in the program than in the graph",
        ),
        (NoteCode.STATE_NOT_ZERO, "total", "buffer total begins with another value than zero"),
    ],
)
def test_a_name_is_put_in_words(code: NoteCode, detail: str, words: str) -> None:
    assert str(Note(code, detail)) == words


def test_equal_notes_of_other_codes_are_different_ones() -> None:
    assert Note(NoteCode.PLACEMENT_UNKNOWN, "d") != Note(NoteCode.PLAN_INCOMPLETE, "d")
    assert len({Note(NoteCode.TRUTH, "d"), Note(NoteCode.TRUTH, "d")}) == 1
