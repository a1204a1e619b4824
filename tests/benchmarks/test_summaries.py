"""What results come to, from made-up ones."""

import pytest

from benchmarks import bench_floor, bench_growth, bench_peer, bench_startup


def models(seconds, *, lowered=True, **more):
    return {name: {"seconds": s, "lowered": lowered, "outcome": "pass", **more} for name, s in seconds.items()}


@pytest.fixture
def peer():
    ran = {"a": 0.7, "b": 1.4}
    return {
        "0-peer": {"ready": 8.0, "models": models(ran, lowering=0.6)},
        "0-one": {"ready": 8.0, "models": models({"a": 0.1, "b": 0.2})},
        "0-both": {"ready": 8.0, "models": models({"a": 0.14, "b": 0.28})},
    }


def test_checks_of_both_precisions_count_twice(peer):
    one, both = bench_peer.summarise(peer).goals
    assert one.measured.middle == pytest.approx(7.0)
    assert both.measured.middle == pytest.approx(2 * 5.0)
    assert (one.met, both.met) == ("yes", "yes")


def test_a_model_that_one_side_did_not_lower_counts_on_none(peer):
    peer["0-one"]["models"]["b"]["lowered"] = False
    peer["0-one"]["models"]["b"]["seconds"] = 1e-6
    one, _ = bench_peer.summarise(peer).goals
    assert one.measured.middle == pytest.approx(7.0)


def test_a_side_that_has_nothing_gives_no_ratio(peer):
    del peer["0-one"]
    assert bench_peer.summarise(peer).goals == ()


def test_blocks_of_the_peer_are_put_together(peer):
    for side in bench_peer.SIDES:
        more = {f"{name}2": dict(model) for name, model in peer[f"0-{side}"]["models"].items()}
        peer[f"1-{side}"] = {"ready": 8.0, "models": more}
    (numbers,) = bench_peer.summarise(peer).tables
    assert numbers.rows[0][1] == "4"


def test_the_floor_is_held_against_cases_of_both_sides():
    results = {
        "0-plain": [
            ["a", 1.0, ["lowered", "lowered"]],
            ["b", 2.0, ["lowered", "ValueError"]],
            ["c", 50.0, ["lowered"]],
        ],
        "0-harness": [
            ["a", 0.1, ["pass", "pass"]],
            ["b", 0.2, ["pass", "convert_error"]],
            ["d", 9.0, ["pass", "pass"]],
        ],
    }
    found = bench_floor.summarise(results)
    assert found.goals[0].measured.middle == pytest.approx(0.1)
    assert found.notes[0].startswith("2 cases. Of 1 ")


def age(last=0.1, fresh=0.1):
    samples = [["first", case, 0.2, 0.2, 600.0] for case in "ab"]
    samples += [["between", case, 0.1, 0.1, 610.0 + number] for number, case in enumerate("cdefgh")]
    samples += [[when, case, cpu, cpu, 620.0] for case in "ab" for when, cpu in (("last", last), ("fresh", fresh))]
    return {"samples": samples, "children": 4, "workers": 2}


def test_an_old_process_is_held_against_a_fresh_one():
    (goal,) = bench_growth.summarise({"age-tiny": age(last=0.15)}).goals
    assert goal.measured.middle == pytest.approx(1.5)
    assert goal.met == "no"


def test_marks_are_reached_in_checks_and_leave_fresh_processes_out():
    (numbers, *_) = bench_growth.summarise({"age-tiny": age()}).tables
    assert [row[0] for row in numbers.rows] == ["8", "12", "16", "20"][: len(numbers.rows)]
    assert numbers.rows[-1][2] == "1.20"  # 2 x 0.2, 6 x 0.1 and 2 x 0.1 CPU-seconds
    assert numbers.rows[0][4] == "611"


def test_a_check_that_died_has_no_time_to_compare():
    results = age()
    results["samples"][-1][2] = 0.0  # the fresh process died of it
    found = bench_growth.summarise({"age-tiny": results})
    assert "The last 2 checks" in found.notes[0]


def test_runs_of_pytest_are_rows():
    cost = {"cpu": 30.0, "wall": 20.0, "checks": 40}
    found = bench_growth.summarise({"workers-2": {"cold": cost, "warm": cost}, "shards": [cost, cost]})
    (numbers,) = found.tables
    assert [row[0] for row in numbers.rows] == [
        "2 workers, cold cache",
        "2 workers, warm cache",
        "shard 1 of 2, 1 worker, cold cache",
        "shard 2 of 2, 1 worker, cold cache",
    ]
    assert numbers.rows[0][4] == "2.00"


def test_a_command_that_is_not_there_is_told():
    found = bench_startup.summarise({"check-n2": {"skipped": "no option", "records": 20}})
    assert found.tables == ()
    assert "not measured, no option" in found.notes[0]


def test_what_a_check_takes_beyond_a_childs_getting_ready_is_of_pairs():
    pairs = {
        "command": [[10.0, 9.0], [20.0, 9.0]],
        "imports": [[9.0, 9.0]] * 2,
        "ready": [[7.0, 7.0], [16.0, 7.0]],
        "records": 20,
    }
    (numbers,) = bench_startup.summarise({"check": pairs}).tables
    assert numbers.rows[0][2].startswith("3.50 ")


def test_commands_without_torch_have_a_goal():
    slow = {"command": [[1.6, 1.7]], "records": 20_000}
    (goal,) = bench_startup.summarise({"gate": slow, "docs": slow}).goals
    assert "`gate`, 20,000 records" in goal.what
    assert goal.met == "no"


def test_what_two_workers_take_is_of_what_is_beyond_a_childs_getting_ready():
    one = {"command": [[30.0, 27.0]], "records": 20}
    two = {"command": [[30.0, 17.0]], "records": 20}
    alone = {"command": [[10.0, 9.0]], "imports": [[9.0, 9.0]], "ready": [[7.0, 7.0]], "records": 20}
    *_, share = bench_startup.summarise({"check": alone, "check-n1": one, "check-n2": two}).goals
    assert share.measured.middle == pytest.approx(0.5)
    assert share.met == "yes"


def test_a_kept_result_without_a_child_getting_ready_is_a_row_all_the_same():
    (numbers,) = bench_startup.summarise(
        {"check": {"command": [[1.0, 1.0]], "imports": [[1.0, 1.0]], "records": 2}}
    ).tables
    assert [row[2] for row in numbers.rows] == [""]
