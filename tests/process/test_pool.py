import os
import signal
import time
from pathlib import Path

import pytest

from harness.process import pool as module
from harness.process.child import ChildDied, ChildRaised, ChildTimedOut
from harness.process.pool import Pool

TESTS = Path(__file__).resolve().parent.parent
DEADLINE = 60.0


def start(handler="make"):
    return Pool(f"fake_handler:{handler}", {"PYTHONPATH": str(TESTS)})


@pytest.fixture
def pool():
    one = start()
    yield one
    one.close()


def ended(pids):
    def running(pid):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    return not any(running(pid) for pid in pids)


def test_nothing_starts_before_the_first_request(pool):
    assert (pool.started, pool.pids()) == (0, [])


def test_the_first_child_can_get_ready_before_the_first_request(pool):
    pool.prepare()
    pool.prepare()
    (pid,) = pool.pids()
    assert pool.call({}, DEADLINE)["pid"] == pid
    assert pool.started == 1


def test_one_child_and_no_spare_as_long_as_none_dies(pool):
    pids = {pool.call({}, DEADLINE)["pid"] for _ in range(3)}
    with pytest.raises(ChildRaised):
        pool.call({"do": "raise"}, DEADLINE)
    assert pool.pids() == list(pids)
    assert pool.started == 1


@pytest.mark.parametrize(("what", "error"), [("abort", ChildDied), ("hang", ChildTimedOut)])
def test_one_that_ended_is_replaced_and_from_then_on_there_is_a_spare(pool, what, error):
    first = pool.call({}, DEADLINE)["pid"]
    with pytest.raises(error):
        pool.call({"do": what}, 0.5)
    # The replacement is warming up before anybody asks.
    (replacement,) = pool.pids()
    assert pool.call({}, DEADLINE)["pid"] == replacement != first
    in_service, spare = pool.pids()
    assert (in_service, pool.started) == (replacement, 3)
    with pytest.raises(error):
        pool.call({"do": what}, 0.5)
    assert pool.call({}, DEADLINE)["pid"] == spare
    assert pool.started == 4


def test_the_spare_gets_ready_while_the_other_works(pool, monkeypatch):
    """A start takes half a second here: a row of deaths does not pay it each time."""
    monkeypatch.setenv("FAKE_HANDLER_START", "0.5")
    pool = start("make_slowly")
    try:
        with pytest.raises(ChildDied):
            pool.call({"do": "abort"}, DEADLINE)
        pool.call({"nap": 2.0}, DEADLINE)  # in which the spare gets ready
        with pytest.raises(ChildDied):
            pool.call({"do": "abort"}, DEADLINE)
        began = time.monotonic()
        pool.call({}, DEADLINE)
        assert time.monotonic() - began < 0.4
    finally:
        pool.close()


def test_starting_is_outside_the_deadline(monkeypatch):
    monkeypatch.setenv("FAKE_HANDLER_START", "1")
    pool = start("make_slowly")
    for _ in range(2):
        with pytest.raises(ChildDied) as caught:
            pool.call({"do": "abort"}, 0.9)
        assert caught.value.how == "SIGABRT"
    pool.close()


def test_when_deaths_have_become_rare_the_spare_goes(pool, monkeypatch):
    monkeypatch.setattr(module, "QUIET", 3)
    pool._quiet = 3
    with pytest.raises(ChildDied):
        pool.call({"do": "abort"}, DEADLINE)
    spares = []
    for _ in range(5):
        pool.call({}, DEADLINE)
        spares.append(len(pool.pids()) - 1)
    assert spares == [1, 1, 1, 0, 0]


def test_one_that_died_while_idle_costs_no_request(pool):
    first = pool.call({}, DEADLINE)["pid"]
    os.kill(first, 9)
    while pool.pids():
        time.sleep(0.01)
    assert pool.call({}, DEADLINE)["pid"] != first


def test_a_spare_that_died_while_warming_up_costs_no_request(pool):
    with pytest.raises(ChildDied):
        pool.call({"do": "abort"}, DEADLINE)
    (warming,) = pool.pids()
    os.kill(warming, 9)
    while pool.pids():
        time.sleep(0.01)
    assert pool.call({}, DEADLINE)["pid"] != warming


def test_a_listener_that_raises_costs_the_child_but_never_mixes_answers(pool):
    def full(_message):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        pool.call({"n": "first", "messages": 2}, DEADLINE, full)
    assert pool.call({"n": "second"}, DEADLINE)["request"]["n"] == "second"


def test_a_handler_that_cannot_be_made_is_tried_anew_and_in_the_end_no_more():
    pool = start("make_broken")
    for number in (1, 2, 3, 3, 3):
        with pytest.raises(ChildRaised, match="ImportError: libtorch"):
            pool.call({}, DEADLINE)
        assert (pool.started, pool.pids()) == (number, [])


def test_closing_ends_the_spare_too_and_a_closed_pool_starts_again(pool):
    with pytest.raises(ChildDied):
        pool.call({"do": "abort"}, DEADLINE)
    pool.call({}, DEADLINE)
    pids = pool.pids()
    assert len(pids) == 2
    pool.close()
    assert ended(pids)
    assert pool.call({}, DEADLINE)["pid"] not in pids


def test_the_memory_is_that_of_the_child_in_service(pool):
    assert pool.memory() == 0
    pool.call({}, DEADLINE)
    assert pool.memory() > 5 << 20
    os.kill(pool.pids()[0], signal.SIGKILL)
    while pool.pids():
        time.sleep(0.01)
    assert pool.memory() == 0


def test_a_renewed_child_is_another_and_no_death(pool):
    pool.renew()
    assert pool.started == 0
    first = pool.call({}, DEADLINE)["pid"]
    pool.renew()
    assert ended([first])
    second = pool.call({}, DEADLINE)["pid"]
    assert second != first
    assert pool.pids() == [second]
    assert pool.started == 2


def test_a_spare_serves_after_a_renewal(pool):
    with pytest.raises(ChildDied):
        pool.call({"do": "abort"}, DEADLINE)
    pool.call({}, DEADLINE)
    first, spare = pool.pids()
    pool.renew()
    assert pool.call({}, DEADLINE)["pid"] == spare
    assert ended([first])


def test_ready_is_a_child_that_was_waited_for_and_lives(pool):
    assert not pool.is_ready
    pool.prepare()
    assert not pool.is_ready
    pool.wait_until_ready()
    assert pool.is_ready
    (pid,) = pool.pids()
    assert pool.call({}, DEADLINE)["pid"] == pid
    with pytest.raises(ChildDied):
        pool.call({"do": "abort"}, DEADLINE)
    assert not pool.is_ready


def test_waiting_for_a_child_that_does_not_start_raises_what_it_raised():
    with pytest.raises(ChildRaised, match="libtorch"):
        start("make_broken").wait_until_ready()
