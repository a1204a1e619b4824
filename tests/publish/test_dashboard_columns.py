import json
import math

from harness.publish.dashboard_columns import INFINITE, number, table, texts


def test_a_text_of_many_rows_is_written_once():
    assert texts(["a", "b", "a", ""]) == {"values": ["a", "b", ""], "index": [0, 1, 0, 2]}


def test_numbers_become_json():
    given = [None, math.nan, math.inf, 0.0, 1 / 3, 12345678.0]
    found = [number(value) for value in given]
    assert found == [None, None, INFINITE, 0.0, 0.3333, 12350000.0]
    json.dumps(found, allow_nan=False)


def test_rows_by_column():
    rows = [{"name": "a", "size": 3}, {"name": "b", "size": None}]
    assert table(rows, ["size"]) == {"name": {"values": ["a", "b"], "index": [0, 1]}, "size": [3, None]}


def test_no_rows_have_no_columns():
    assert table([]) == {}
