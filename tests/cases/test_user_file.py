import textwrap

import pytest
import torch

from harness.cases.case import CaseFault, NoCase
from harness.cases.user_file import functions_in_sight, load, load_case
from harness.evidence.vocabulary import HarnessError


@pytest.fixture
def cases(tmp_path):
    def make(text, name=None):
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(text))
        return load(path, name)

    return make


def test_cases_are_the_public_functions_without_parameters_in_the_files_order(cases):
    found = cases("""
        from os import getcwd
        def second(): ...
        def first(): ...
        def _hidden(): ...
        def asks(x=1): ...
        class Model: ...
        value = 3
        alias = lambda: None
    """)
    assert [case.id for case in found] == ["check/mine/second", "check/mine/first", "check/mine/alias"]
    assert all(case.whole_model for case in found)


def test_nothing_is_called_before_it_is_built(cases):
    (case,) = cases("def f(): raise RuntimeError('called')")
    with pytest.raises(CaseFault, match=r"f\(\) raised RuntimeError: called"):
        case.build()


def test_torch_is_seeded_before_each_call_and_inputs_are_used_as_they_are(cases):
    one, other = cases("""
        import torch
        def one(): return torch.nn.Linear(2, 2), (torch.rand(3) / 3,)
        def other(): return torch.nn.Linear(2, 2), [torch.rand(3) / 3]
    """)
    torch.manual_seed(99)
    first, again, second = one.build(), one.build(), other.build()
    torch.manual_seed(0)
    weight = torch.nn.Linear(2, 2).weight
    inputs = torch.rand(3) / 3
    assert not torch.equal(inputs, inputs.half().float())  # not on the fp16 grid, and not put there
    for built in (first, again, second):
        assert torch.equal(built.module.weight, weight)
        assert torch.equal(built.inputs[0], inputs)
        assert isinstance(built.inputs, tuple)


def test_the_module_is_in_eval_mode(cases):
    (case,) = cases("import torch\ndef f(): return torch.nn.Dropout(), torch.ones(2)")
    assert not case.build().module.training


@pytest.mark.parametrize("returned", ["None", "torch.nn.ReLU()", "(1, 2)", "(torch.nn.ReLU, ())"])
def test_a_function_that_returns_something_else_is_no_case(cases, returned):
    (case,) = cases(f"import torch\ndef f(): return {returned}")
    with pytest.raises(NoCase, match=r"mine\.py::f: "):
        case.build()


@pytest.mark.parametrize("body", ["raise SystemExit(2)", "import torch; return torch.nn.ReLU(), 1"])
def test_a_case_that_cannot_be_made_is_at_fault(cases, body):
    (case,) = cases(f"def f(): {body}")
    with pytest.raises(CaseFault):
        case.build()


def test_a_module_may_have_no_inputs(cases):
    (case,) = cases("import torch\ndef f(): return torch.nn.ReLU(), ()")
    assert case.build().inputs == ()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("import os\ndef a(): ...\ndef b(): ...\ndef _c(): ...\ndef d(x): ...\ndef e(*x): ...\nclass F: ...", 2),
        ("raise SystemExit", 0),
        ("def f(:", 0),
        ("\0", 0),
    ],
)
def test_cases_are_counted_without_running_the_file(tmp_path, text, count):
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert functions_in_sight(path) == count
    assert functions_in_sight(tmp_path / "nowhere.py") == 0


def test_a_pt2_holds_one_case(tmp_path):
    path = tmp_path / "mine.pt2"
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.ones(2),)), path)
    (case,) = load(path)
    assert case.id == "check/mine/forward"
    assert load_case(path, case.id).build().inputs[0].shape == (2,)
    with pytest.raises(HarnessError, match="no case named 'other': it holds one program"):
        load(path, "other")
