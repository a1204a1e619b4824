"""What a child answers; how requests come and answers go is tested beside `harness.process`."""

from __future__ import annotations

import logging
import os
import textwrap
from pathlib import Path

import pytest
import torch

from harness.commands import answer
from harness.evidence.record import Record
from harness.evidence.times import Stopwatch
from harness.evidence.vocabulary import HarnessError, Kind, Outcome, Phase
from harness.lowering.cache import LoweringCache

TANH = "ops/aten.tanh.default/float32/opinfo-8bec82"


@pytest.fixture(autouse=True)
def _this_process_stays_as_it_was(monkeypatch):
    """The handler makes its process its own."""
    monkeypatch.setenv("TQDM_DISABLE", "0")
    threads, disabled = torch.get_num_threads(), logging.root.manager.disable
    yield
    torch.set_num_threads(threads)
    logging.disable(disabled)


class FakeChecker:
    """Takes the time of a stage and tells a phase; `made` and `asked` are what it was made with and asked."""

    made: list[tuple[str, object]]
    asked: list[tuple[str, bool]]

    def __init__(self, environment, cache):
        self.made.append((environment, cache))
        self.watch = Stopwatch()

    def check(self, check, on_phase, *, plan):
        self.asked.append((str(check), plan))
        on_phase(Phase.EXPORT)
        with self.watch.stage("lower"):
            return Record.of(check, Outcome.PASS, Phase.VALUE)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(FakeChecker, "made", [], raising=False)
    monkeypatch.setattr(FakeChecker, "asked", [], raising=False)
    monkeypatch.setattr("harness.check.Checker", FakeChecker)
    return FakeChecker


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        textwrap.dedent("""
        import torch
        def relu(): return torch.nn.ReLU(), (torch.tensor([-1.0, 2.0]),)
        """)
    )
    return path


def request(case=TANH, **changes):
    """As `harness.process.isolation` asks."""
    asked = {"case": case, "recipe": "fp32-ios18", "unit": "reference", "file": None, "environment": "here"}
    return asked | {"use_cache": False, "plan": True, "times": False, "flames": None} | changes


def answered(handle, asked):
    """The answer, and the messages sent before it."""
    sent = []
    return handle(asked, sent.append), sent


def test_a_users_case_is_checked_and_its_phases_are_told(mine):
    found, sent = answered(answer.make_file_handler(), request("check/mine/relu", file=str(mine)))
    record = Record.from_json(found)
    assert (record.outcome, record.kind) == (Outcome.PASS, Kind.USER)
    assert record.check_id == "check/mine/relu@fp32-ios18@reference"
    assert record.environment == "here"
    assert record.mil_ops == {"relu": 1}
    phases = [Phase(message["phase"]) for message in sent]
    assert list(dict.fromkeys(phases)) == [
        phase for phase in Phase if phase not in (Phase.PLAN, Phase.SHAPE, Phase.DTYPE, Phase.VALUE)
    ]


def test_a_case_of_the_suites_is_found_by_its_id(fake):
    found, sent = answered(answer.make_handler(), request(plan=False))
    assert Record.from_json(found).check_id == f"{TANH}@fp32-ios18@reference"
    assert sent == [{"phase": "export"}]
    assert fake.asked == [(f"{TANH}@fp32-ios18@reference", False)]


def test_checks_of_one_environment_share_what_lowers_them(fake):
    handle = answer.make_file_handler()
    for changes in ({}, {"unit": "cpu_only"}, {"use_cache": True}, {"environment": "there"}, {}):
        handle(request(**changes), lambda _message: None)
    assert [(environment, type(cache)) for environment, cache in fake.made] == [
        ("here", type(None)),
        ("here", LoweringCache),
        ("there", type(None)),
    ]
    assert len(fake.asked) == 5


def test_where_the_time_went_is_told_when_asked_and_once(fake):
    handle = answer.make_file_handler()
    assert answered(handle, request())[1] == [{"phase": "export"}]
    _, sent = answered(handle, request(times=True))
    assert sent[0] == {"phase": "export"}
    assert set(sent[1]["spent"]) == {"build", "lower"}
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"case": "ops/aten.tanh.default/float32/opinfo-000000"}, "no case"),
        ({"recipe": "fp8-ios18"}, "unknown recipe 'fp8-ios18'"),
        ({"unit": "tpu"}, "unknown unit 'tpu'"),
        ({"case": "check/nowhere/a", "file": "nowhere.py"}, "nowhere.py: no such file"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(fake, changes, says):
    with pytest.raises(HarnessError, match=says):
        answer.make_file_handler()(request(**changes), lambda _message: None)
    assert fake.asked == []


def test_a_case_that_its_file_does_not_have_is_refused(fake, mine):
    with pytest.raises(HarnessError, match="no case named 'gelu'"):
        answer.make_file_handler()(request("check/mine/gelu", file=str(mine)), lambda _message: None)


def test_devices_are_asked_of_core_ml(monkeypatch):
    monkeypatch.setattr("harness.units.placement.available_devices", lambda: ["cpu", "ane"])
    assert answered(answer.make_file_handler(), {"question": "devices"}) == ({"devices": ["cpu", "ane"]}, [])


def test_a_flame_graph_is_begun_by_a_check_that_names_a_folder_and_written_when_asked(fake, monkeypatch):
    begun = []

    class FakeFlame:
        def begin(self, folder):
            begun.append(folder)

        def write(self):
            return "flame.html" if begun else ""

    monkeypatch.setattr("harness.process.flame.Flame", FakeFlame)
    handle = answer.make_file_handler()
    handle(request(), lambda _message: None)
    assert answered(handle, {"question": "flame"}) == ({"written": ""}, [])
    handle(request(flames="flames"), lambda _message: None)
    assert begun == [Path("flames")]
    assert answered(handle, {"question": "flame"}) == ({"written": "flame.html"}, [])


def test_a_child_is_quiet_and_keeps_to_one_core():
    answer.make_file_handler()
    assert torch.get_num_threads() == 1
    assert not logging.getLogger("torch").isEnabledFor(logging.WARNING)
    assert os.environ["TQDM_DISABLE"] == "1"
