"""xdist's scheduler on a clock of our own: workers that take as long as they are told."""

from types import SimpleNamespace

import pytest

from harness.evidence.durations import Durations
from harness.plugin.case_scheduler import CaseScheduling


class Worker:
    """Runs what it is handed in order; the last item only when another follows or it is told to end, as xdist's do."""

    def __init__(self, name, seconds):
        self.gateway = SimpleNamespace(id=name)
        self.seconds = seconds
        self.queue = []
        self.shutting_down = False
        self.running = None
        self.busy_until = 0.0

    def send_runtest_some(self, indices):
        self.queue += indices

    def shutdown(self):
        self.shutting_down = True

    def begin(self, now, collection):
        if self.running is None and (len(self.queue) > 1 or (self.queue and self.shutting_down)):
            self.running = self.queue.pop(0)
            self.busy_until = now + self.seconds[collection[self.running]]


def run(cases, recipes=("a", "b"), workers=2, thrice=()):
    """Cases by expected seconds, in order, those of `thrice` with a third check.

    Returns (start, worker, item) of each check and when each worker ended."""
    checks = [(case, recipe) for case in cases for recipe in (*recipes, *(["c"] if case in thrice else []))]
    collection = [f"test.py::test[{case}@{recipe}@u]" for case, recipe in checks]
    seconds = {item: cases[item.partition("[")[2].split("@")[0]] / len(recipes) for item in collection}
    config = SimpleNamespace(option=SimpleNamespace(loadscopereorder=True), getvalue=lambda _: ["popen"] * workers)
    silent = SimpleNamespace(loadscopesched=lambda *_: None)
    scheduler = CaseScheduling(config, silent, Durations(cases))
    nodes = [Worker(f"gw{n}", seconds) for n in range(workers)]
    for node in nodes:
        scheduler.add_node(node)
    for node in nodes:
        scheduler.add_node_collection(node, collection)
    scheduler.schedule()
    began, now = [], 0.0
    while True:
        for node in nodes:
            idle = node.running is None
            node.begin(now, collection)
            if idle and node.running is not None:
                began.append((now, node.gateway.id, collection[node.running]))
        busy = [node for node in nodes if node.running is not None]
        if not busy:
            break
        node = min(busy, key=lambda node: node.busy_until)
        now = node.busy_until
        done, node.running = node.running, None
        scheduler.mark_test_complete(node, done)
    assert len(began) == len(collection)
    return began, {node.gateway.id: node.busy_until for node in nodes}


MANY = {"model": 20.0, "large": 10.0} | {f"case{n}": 0.5 - n / 1000 for n in range(100)}


@pytest.mark.parametrize("recipes", [("a",), ("a", "b"), ("a", "b", "c", "d")])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_everything_is_run_once_and_the_longest_begins_first(recipes, workers):
    began, _ = run(MANY, recipes, workers)
    assert len({item for _, _, item in began}) == len(MANY) * len(recipes)
    assert "[model@" in began[0][2]
    by_case = {}
    for _, worker, item in began:
        by_case.setdefault(item.split("@")[0], set()).add(worker)
    assert {len(used) for used in by_case.values()} == {1}


def test_more_checks_of_a_case_do_not_bring_it_forward():
    """xdist's own order would."""
    began, _ = run({"model": 20.0, "other": 1.0}, workers=1, thrice=["other"])
    assert [item.partition("[")[2][:5] for _, _, item in began] == ["model"] * 2 + ["other"] * 3


@pytest.mark.parametrize("recipes", [("a",), ("a", "b")])
def test_nothing_long_waits_behind_a_long_case(recipes):
    """Three of 10 s and small ones on two workers: the third goes to whoever is free, not behind the first."""
    cases = {"first": 30.0, "second": 10.0, "third": 10.0} | {f"case{n}": 0.5 for n in range(20)}
    began, ended = run(cases, recipes)
    worker = {item.partition("[")[2].split("@")[0]: name for _, name, item in began}
    assert worker["third"] == worker["second"] != worker["first"]
    assert max(ended.values()) <= 31.0


def test_workers_end_together():
    _, ended = run(MANY)
    assert max(ended.values()) - min(ended.values()) <= 0.5
