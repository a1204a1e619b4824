from __future__ import annotations

import pytest

from harness.evidence.times import STAGE_OF, STAGES, Stopwatch, about, by_phase, total
from harness.evidence.vocabulary import Phase


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_stage_within_another_stops_the_outer_clock(clock: Clock) -> None:
    watch = Stopwatch(clock)
    clock.now += 5  # in no stage
    with watch.stage("execute"):
        clock.now += 1
        with watch.stage("judge"):
            clock.now += 2
        clock.now += 4
    clock.now += 8
    with watch.stage("judge"):
        clock.now += 16
    assert watch.take() == {"execute": 5.0, "judge": 18.0}


def test_a_switch_is_of_the_stage_entered_last(clock: Clock) -> None:
    watch = Stopwatch(clock)
    with watch.stage("eager"):
        clock.now += 1
        with watch.stage("cache"):
            clock.now += 2
            watch.switch("export")
            clock.now += 4
            watch.switch("edge")
            clock.now += 8
        clock.now += 16
    assert watch.take() == {"eager": 17.0, "cache": 2.0, "export": 4.0, "edge": 8.0}


def test_a_switch_outside_of_stages_begins_none(clock: Clock) -> None:
    watch = Stopwatch(clock)
    watch.switch("export")
    clock.now += 1
    assert watch.take() == {}


def test_what_is_taken_is_not_counted_again(clock: Clock) -> None:
    watch = Stopwatch(clock)
    for seconds in (1, 2):
        with watch.stage("eager"):
            clock.now += seconds
        assert watch.take() == {"eager": float(seconds)}


def test_a_stage_that_raises_is_left(clock: Clock) -> None:
    watch = Stopwatch(clock)

    def converting() -> None:
        with watch.stage("convert"):
            clock.now += 3
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        converting()
    clock.now += 5
    assert watch.take() == {"convert": 3.0}


def test_what_another_process_spent_is_added_and_counted(clock: Clock) -> None:
    watch = Stopwatch(clock)
    for _ in range(2):
        watch.add({"convert": 1.5, "emit": 0.5})
    with watch.stage("write"):
        clock.now += 1
    assert watch.take() == {"convert": 3.0, "emit": 1.0, "write": 1.0}
    assert watch.times == {"convert": 2, "emit": 2, "write": 1}


def test_every_phase_belongs_to_a_stage() -> None:
    assert list(STAGE_OF) == list(Phase)
    assert set(STAGE_OF.values()) <= set(STAGES)


def test_of_a_check_that_ended_its_process_the_phases_tell() -> None:
    entered = [(Phase.EDGE, 10.0), (Phase.PARTITION, 11.0), (Phase.EDGE, 13.0), (Phase.CONVERT, 14.0)]
    assert by_phase(entered, 20.0) == {"edge": 4.0, "convert": 6.0}
    assert by_phase([], 20.0) == {}


def test_the_sum_is_in_the_order_of_a_run() -> None:
    found = total([{"judge": 1.0, "other": 0.5}, {"judge": 2.0, "import": 4.0}])
    assert list(found) == [*STAGES, "other"]
    assert (found["import"], found["judge"], found["other"], found["emit"]) == (4.0, 3.0, 0.5, 0.0)


def test_about_is_one_digit():
    assert [about(seconds) for seconds in (0.0, 0.0437, 0.96, 1.4, 14.9, 95.1)] == [0.0, 0.04, 1.0, 1.0, 10.0, 100.0]
