import json

import pytest

from benchmarks.store import Measurement, Result, Store

ONE = Measurement("peer", "one", "some.module", ("--tests", "3"))
TWO = Measurement("peer", "two", "some.module", ("--tests", "3"))
RESULT = Result({"seconds": [1.5, 2.5]}, "some CPU", "2026-01-02")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "code 1")


def test_a_result_comes_back_as_it_was_put(store):
    store.put(ONE, RESULT)
    assert store.get(ONE) == RESULT
    assert store.get(TWO) is None


def test_what_was_measured_with_other_arguments_is_no_result(store):
    store.put(ONE, RESULT)
    assert store.get(Measurement("peer", "one", "some.module", ("--tests", "4"))) is None


def test_what_was_measured_of_other_code_is_shown_but_due_again(store, tmp_path):
    store.put(ONE, RESULT)
    later = Store(tmp_path, "code 2")
    assert later.get(ONE) == RESULT
    assert later.get(ONE, current=True) is None
    assert later.due([ONE]) == [ONE]


@pytest.mark.parametrize("content", ["", '{"arguments": ["--te', "[]", '{"arguments": ["--tests", "3"]}'])
def test_half_a_file_is_no_result(store, tmp_path, content):
    store.put(ONE, RESULT)
    (tmp_path / "peer" / "one.json").write_text(content)
    assert store.get(ONE) is None
    assert store.due([ONE]) == [ONE]


def test_due_is_what_has_no_result_in_order(store):
    assert store.due([TWO, ONE]) == [TWO, ONE]
    store.put(TWO, RESULT)
    assert store.due([TWO, ONE]) == [ONE]


def test_dropped_results_are_due_again(store):
    store.put(ONE, RESULT)
    store.drop([ONE, TWO])
    assert store.due([ONE, TWO]) == [ONE, TWO]


def test_a_result_names_no_path(store, tmp_path):
    store.put(ONE, RESULT)
    assert str(tmp_path) not in json.dumps(json.loads((tmp_path / "peer" / "one.json").read_text()))
