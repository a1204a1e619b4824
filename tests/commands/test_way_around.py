"""Ways around, on real lowerings: what is printed is what a user pastes, and it does what it says."""

import dataclasses
import logging

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import harness.check as corridor
from harness.cases.case import Case, partitioned
from harness.cases.user_forms import built_of
from harness.check import Checker
from harness.commands.check_file import report
from harness.commands.way_around import find
from harness.evidence.causes import Causes, read_causes
from harness.evidence.check import Check
from harness.evidence.remedy import code
from harness.evidence.vocabulary import Kind, Level, Outcome
from harness.lowering import speedups
from harness.lowering.cache import LoweringCache

CAUSES = Causes(read_causes())


@pytest.fixture(scope="module", autouse=True)
def _measuring():
    torch.set_num_threads(1)
    speedups.enable()


@pytest.fixture(autouse=True)
def _quiet():
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class ThreeProblems(nn.Module):
    """One operator that the edge dialect refuses, one on which the converter raises, one that comes out wrong."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x, levels):
        y = F.max_pool2d(self.conv(x), 2)
        shifted = torch.bitwise_left_shift(levels, 1)
        return F.softplus(y, beta=3.0, threshold=0.2), shifted


class Rank6(nn.Module):
    """Nothing names an operator: the program as a whole is refused by the loader's rules."""

    def forward(self, x):
        return x.unfold(2, 4, 2).unfold(3, 4, 2).sum((-1, -2))


class Grows(nn.Module):
    def forward(self, x):
        return (x * x).sum(-1).sqrt()


class Branches(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x


def case_of(module, *inputs, **options):
    return Case(
        id="check/mine/model",
        kind=Kind.USER,
        op="user.model",
        api="model",
        dtype="mixed",
        origin="user file",
        level=Level.SMOKE,
        build=lambda: built_of((module, inputs, options), "mine.py::model", 0),
        whole_model=True,
        named=False,
    )


@pytest.fixture
def looked(tmp_path):
    """`looked(case, recipe)`: the record with what was found."""

    def look(case, recipe="fp32-ios18", tries=30):
        checker = Checker(cache=LoweringCache(tmp_path))
        check = Check.of(case, recipe, "reference")
        record = CAUSES.name(checker.check(check))
        return record.with_(remedy=find(checker, check, record, tries, CAUSES))

    return look


def pasted(record, case):
    """What the printed code gives: the lowered program of the case."""
    built = case.build()
    scope = {"program": torch.export.export(built.module, built.inputs)}
    exec(code(record.remedy, Check.of(case, record.recipe, record.unit).recipe), scope)
    return scope["lowered"]


def test_three_problems_have_one_set_of_options(looked):
    torch.manual_seed(0)
    case = case_of(ThreeProblems().eval(), torch.randn(1, 3, 8, 8), torch.arange(4, dtype=torch.int32))
    record = looked(case)
    remedy = record.remedy
    assert (record.outcome, remedy.outcome) == (Outcome.UNSUPPORTED, Outcome.PARTIAL)
    assert remedy.is_verified
    met = {problem.operator: problem.outcome for problem in remedy.problems}
    assert met["aten.bitwise_left_shift.Tensor_Scalar"] is Outcome.UNSUPPORTED
    assert met["aten.max_pool2d.default"] is Outcome.CONVERT_ERROR
    assert met["aten.softplus.default"] is Outcome.WRONG_VALUE

    lines = "\n".join(report(record, CAUSES.by_slug))
    for part in (*met, "way around:", "leads to: partial", "F.max_pool2d(self.conv(x), 2)", "CoreMLPartitioner("):
        assert part in lines

    program = pasted(record, case).to_executorch()
    assert program.buffer


def test_where_nothing_names_an_operator_it_is_found(looked):
    record = looked(case_of(Rank6(), torch.randn(1, 3, 6, 6)))
    assert record.outcome is Outcome.LOAD_ERROR
    assert record.remedy.is_verified
    assert record.remedy.skip


def test_attempts_share_what_comes_before_them(looked, monkeypatch):
    """The case is exported once, and nothing else changes."""
    torch.manual_seed(0)
    case = case_of(ThreeProblems().eval(), torch.randn(1, 3, 8, 8), torch.arange(4, dtype=torch.int32))
    exports = []
    original = corridor.export
    monkeypatch.setattr(corridor, "export", lambda *args: exports.append(args) or original(*args))
    shared = looked(case).remedy
    assert shared.tries > len(exports) == 1

    def apart(self, *args, **kwargs):
        changed = kwargs.pop("change", None)
        if changed is not None:
            args = (dataclasses.replace(args[0], case=partitioned(args[0].case, changed)), *args[1:])
        return check(Checker(self.environment), *args, **kwargs)

    check = Checker.check
    monkeypatch.setattr(Checker, "check", apart)
    assert looked(case).remedy == shared
    assert len(exports) > shared.tries


def test_float32_where_float16_does_not_hold_it(looked):
    case = case_of(Grows(), torch.full((2, 4), 300.0))
    record = looked(case, "fp16-ios18")
    assert (record.outcome, record.remedy.recipe) == (Outcome.OUT_OF_RANGE, "fp32-ios18")
    assert record.remedy.outcome is Outcome.PASS
    specs = pasted(record, case).exported_program().graph_module
    assert "lowered_module" in str(specs)


def test_nothing_helps_where_export_refuses(looked):
    record = looked(case_of(Branches(), torch.ones(3)))
    assert record.remedy.outcome is None
    assert record.remedy.tries == 0
    assert "way around: none found" in "\n".join(report(record, CAUSES.by_slug))


def test_the_users_own_options_stay(looked):
    options = {"take_over_mutable_buffer": False, "skip_ops_for_coreml_delegation": ["aten.mul.tensor"]}
    case = case_of(Planned(), torch.rand(4, 4), partitioner=options)
    remedy = looked(case).remedy
    assert remedy.options == {"take_over_mutable_buffer": "False"}
    assert "aten.mul.tensor" in remedy.skip
    assert len(remedy.skip) > 1
    assert "take_over_mutable_buffer=False" in code(remedy, Check.of(case, "fp32-ios18", "reference").recipe)


class Planned(nn.Module):
    def forward(self, x):
        return F.softplus(x * 2, beta=3.0, threshold=0.2)
