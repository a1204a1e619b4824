from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.cases.case import Arguments
from harness.verdict.compare import compare
from harness.verdict.oracle import Effects, InvalidCase, effects, truth, truth_of_buffers
from harness.verdict.table import rule_for


class Fn(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, *args, **kwargs):
        return self.fn(*args, **kwargs)


X = torch.tensor([1.0, 2.0, 3.0])


def test_values_in_float64_dtypes_of_the_case():
    got = truth(Fn(lambda x: (torch.exp(x), x.argmax())), (X,))
    assert got.exact
    assert [o.dtype for o in got.outputs] == [torch.float64, torch.int64]
    assert [r.dtype for r in got.reference] == [torch.float32, torch.int64]
    assert torch.equal(got.outputs[0], torch.exp(X.double()))


def test_nested_results_are_flattened_and_others_named():
    got = truth(Fn(lambda x: {"a": (x, [x + 1]), "b": "three", "c": None}), (X,))
    assert len(got.outputs) == 2
    assert got.non_tensors == ["result 2: str"]


def test_numbers_among_the_results_are_tensors_of_rank_0():
    got = truth(Fn(lambda x: (x * 2, x.shape[0], None, 1.5, True)), (X,))
    assert got.non_tensors == []
    assert [(t.dtype, t.item()) for t in got.reference[1:]] == [
        (torch.int64, X.shape[0]),
        (torch.float32, 1.5),
        (torch.bool, True),
    ]
    assert [t.dtype for t in got.outputs] == [torch.float64, torch.int64, torch.float64, torch.bool]


def test_arguments_are_any_pytree_and_have_names():
    fn = Fn(lambda x, pair, *, scale, other=None: x * pair["a"][0] * scale)
    got = truth(fn, (X, {"a": [X, 3]}), {"scale": 2})
    assert torch.equal(got.outputs[0], X.double() ** 2 * 2)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x, *, by=1):
        self.calls += by
        return x + self.calls


def test_a_later_call_finds_what_the_ones_before_left():
    module = Counting()
    before = (Arguments((X,), {"by": 2}), Arguments((X,)))
    got = truth(module, (X,), {"by": 10}, before)
    assert torch.equal(got.outputs[0], X.double() + 13)
    assert torch.equal(got.again()[0], got.outputs[0])
    assert torch.equal(truth_of_buffers(module, (X,), ["calls"], {"by": 10}, before).outputs[0], torch.tensor([13.0]))
    assert module.calls.item() == 0


def test_what_a_call_changes_is_told_and_here_not_changed():
    class Rebinds(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("last", torch.zeros(X.shape))

        def forward(self, x):
            self.last = x
            return x * 2

    kept = X.clone()
    assert effects(Fn(lambda x: x * 2), Arguments((X,))) == Effects()
    assert effects(Counting(), Arguments((X,))) == Effects((), True)
    assert effects(Rebinds(), Arguments((X,))) == Effects((), True)
    assert effects(Fn(lambda x: x.view(-1).add_(0)), Arguments((X,))) == Effects(("*args[0]",))
    nested = Fn(lambda x, *, state: x + state["h"].mul_(2))
    assert effects(nested, Arguments((X,), {"state": {"h": X}})) == Effects(("**kwargs['state']['h']",))
    assert torch.equal(X, kept)


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda x: torch.cond(x.sum() > 1e9, lambda t: t + 1, lambda t: t - 1, (x,)), X - 1),
        (lambda x: torch.cond(x.sum() < 1e9, lambda t: t + 1, lambda t: t - 1, (x,)), X + 1),
        (lambda x: torch.while_loop(lambda t: t.sum() < 1e9, lambda t: (t * 2,), (x.abs() + 1,))[0] * 0, X * 0),
    ],
)
def test_control_flow_has_a_truth(fn, expected):
    got = truth(Fn(fn), (X,))
    assert got.exact
    assert torch.allclose(got.outputs[0], expected.double())


def test_chance_within_a_branch_is_seen():
    with pytest.raises(InvalidCase, match=r"not deterministic.*rand"):
        truth(Fn(lambda x: torch.cond(x.sum() < 1e9, torch.rand_like, lambda t: t - 1, (x,))), (X,))


class Everything(nn.Module):
    """Parameters, buffers, plain tensors and a list of them; changes all of them when it runs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.1]))
        self.register_buffer("count", torch.zeros(1))
        self.plain = torch.tensor([0.2])
        self.many = [torch.tensor([0.3])]

    def forward(self, x):
        self.count += 1
        self.plain.add_(0)
        return x.add_(self.weight * self.count + self.plain + self.many[0])


def test_the_callers_module_and_inputs_stay_as_they_are():
    module, x = Everything(), X.clone()
    got = truth(module, (x,))
    assert torch.equal(x, X)
    assert float(module.count) == 0
    assert module.plain.dtype == module.many[0].dtype == torch.float32
    # All operands in float64: the values are the sums of the float32 constants, not rounded again.
    want = X.double() + (module.weight.double() + module.plain.double() + module.many[0].double())
    assert torch.equal(got.outputs[0], want.detach())


def test_float32_by_name_is_widened_half_is_not():
    got = truth(Fn(lambda x: torch.sum(x / 3, dtype=torch.float32) + (x / 3).float().sum()), (X,))
    assert abs(float(got.outputs[0]) - 4) < 1e-15
    half = truth(Fn(lambda x: (x / 3).half().float()), (X,))
    assert torch.equal(half.outputs[0], (X.double() / 3).half().double())


def test_integer_cases_keep_their_dtype():
    got = truth(Fn(lambda a, b: a + b), (torch.arange(3), torch.arange(3)))
    assert got.outputs[0].dtype == torch.int64


def test_random_state_of_the_caller_is_untouched():
    torch.manual_seed(3)
    want = torch.rand(2)
    torch.manual_seed(3)
    truth(Fn(lambda x: x * 2), (X,))
    assert torch.equal(torch.rand(2), want)


def reseeding(x):
    torch.manual_seed(0)
    return x + torch.rand(3)


def with_generator(x):
    return x + torch.rand(3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("fn", "what"),
    [
        (lambda x: torch.nn.functional.dropout(x, 0.5), "aten::"),
        (reseeding, "aten::rand"),
        (with_generator, "aten::rand"),
        (lambda x: torch.bernoulli(x / 4), "aten::bernoulli"),
        (lambda x: torch.empty(3), "uninitialised memory"),
        (lambda x: x.new_empty(3) + x, "uninitialised memory"),
        (lambda x: x.clone().resize_(2, 3), "aten::resize_ .uninitialised memory"),
        (lambda x: (torch.empty(3, dtype=torch.int64), x)[0], "uninitialised memory"),
        (lambda x: torch.nn.functional.scaled_dot_product_attention(*[x.view(1, 3, 1)] * 3, dropout_p=0.5), "aten::"),
    ],
)
def test_a_random_result_is_an_invalid_case(fn, what):
    with pytest.raises(InvalidCase, match=what):
        truth(Fn(fn), (X,))


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: torch.empty(3).copy_(x),
        lambda x: x.clone().resize_(2),
        lambda x: x.clone().resize_(0, 3),
        lambda x: (torch.rand(3), x)[1],
        lambda x: torch.nn.functional.dropout(x, 0.5, training=False),
        lambda x: torch.nn.functional.scaled_dot_product_attention(*[x.view(1, 3, 1)] * 3),
        lambda x: x / 0 * 0,
    ],
)
def test_chance_that_does_not_reach_the_result_is_fine(fn):
    assert truth(Fn(fn), (X,)).exact


def test_state_outside_of_torch_is_noticed():
    calls = []

    def fn(x):
        calls.append(1)
        return x + len(calls)

    with pytest.raises(InvalidCase, match="not deterministic"):
        truth(Fn(fn), (X,))


def test_eager_failure_is_an_invalid_case_with_the_message():
    with pytest.raises(InvalidCase, match="eager fails: RuntimeError: The size of tensor"):
        truth(Fn(lambda x: x + torch.zeros(2)), (X,))


def test_no_tensor_and_no_dense_tensor_are_invalid():
    with pytest.raises(InvalidCase, match=r"no tensor among the results \(result 0: int, result 2: bool\)"):
        truth(Fn(lambda x: (x.shape[0], None, True)), (X,))
    with pytest.raises(InvalidCase, match=r"no tensor among the results \(none at all\)"):
        truth(Fn(lambda x: None), (X,))
    with pytest.raises(InvalidCase, match="sparse_coo"):
        truth(Fn(lambda x: x.to_sparse()), (X,))
    with pytest.raises(InvalidCase, match="input"):
        truth(Fn(lambda x: x.to_dense()), (X.to_sparse(),))


def test_where_float64_is_refused_eager_is_the_truth_and_says_so():
    def fn(x):
        if x.dtype == torch.float64:
            raise NotImplementedError("no kernel for Double")
        return x / 3

    got = truth(Fn(fn), (X,))
    assert not got.exact
    assert "float32" in got.exactness
    assert "no kernel for Double" in got.exactness
    assert torch.equal(got.outputs[0], (X / 3).double())


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x @ torch.ones(3, 2),
        lambda x: torch.zeros(3).scatter(0, torch.tensor([2, 0, 1]), x),
        lambda x: x @ torch.tensor([0.1, 0.3, 0.7]),
        lambda x: x @ (torch.arange(3) / 7),
    ],
)
def test_what_a_program_makes_from_nothing_is_float64_where_it_takes_one_dtype_alone(fn):
    got = truth(Fn(fn), (X,))
    assert got.exact
    assert got.literals
    assert got.outputs[0].dtype == torch.float64
    torch.testing.assert_close(got.outputs[0].float(), fn(X))
    assert torch.equal(got.again()[0], got.outputs[0])
    assert torch.get_default_dtype() == torch.float32


def test_the_default_dtype_is_put_back_where_the_program_fails():
    def fn(x):
        if torch.get_default_dtype() == torch.float64:
            raise ValueError("not in float64")
        return x @ torch.ones(3, 2)

    got = truth(Fn(fn), (X,))
    assert "not in float64" in got.exactness
    assert torch.get_default_dtype() == torch.float32


def test_a_float64_run_of_another_shape_is_not_trusted():
    got = truth(Fn(lambda x: x.view(torch.int32)), (X,))
    assert "shape" in got.exactness


def test_conjugated_results_are_resolved():
    got = truth(Fn(lambda x: torch.complex(x, x).conj()), (X,))
    assert not got.outputs[0].is_conj()
    assert got.outputs[0].dtype == torch.complex128


def test_zero_size_and_rank_0():
    assert truth(Fn(lambda x: x * 2), (torch.zeros(0, 3),)).outputs[0].shape == (0, 3)
    assert truth(Fn(lambda x: x * 2), (torch.tensor(2.0),)).outputs[0].item() == 4


class Averages(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        self.calls.add_(1)
        return x - self.mean


def test_what_a_call_leaves_in_buffers_is_a_truth_of_its_own():
    module, x = Averages(), torch.arange(6.0).reshape(2, 3)
    t = truth_of_buffers(module, (x,), ["mean", "calls"])
    assert t.exact
    assert t.outputs[0].dtype == torch.float64
    assert torch.allclose(t.outputs[0], 0.1 * x.double().mean(0))
    assert int(t.outputs[1]) == 1
    assert torch.equal(module.mean, torch.zeros(3))
    right = [t.reference[0], t.reference[1]]
    assert compare(right, t, rule_for("aten.add", ["aten.mul.Tensor", "aten.add.Tensor"]), "fp32").outcome == "pass"
    stale = [torch.zeros(3), t.reference[1]]
    assert compare(stale, t, rule_for("aten.add", ["aten.mul.Tensor"]), "fp32").outcome == "wrong_value"


def test_a_buffer_that_is_none_is_refused():
    with pytest.raises(InvalidCase, match="no buffer 'variance'"):
        truth_of_buffers(Averages(), (torch.ones(2, 3),), ["variance"])


class Writes(nn.Module):
    """Adds one to its own weight in each call, and gives it."""

    def __init__(self, write):
        super().__init__()
        self.weight, self.write = nn.Parameter(X.clone()), write

    def forward(self, x):
        self.write(self.weight)
        return x * self.weight


@pytest.mark.parametrize(
    "write",
    [lambda w: w.add_(1), lambda w: w.data.add_(1), lambda w: w.neg_(), lambda w: w],
    ids=["in place", "by data", "sign", "not at all"],
)
def test_each_run_begins_with_the_parameters_as_they_are(write):
    right = truth(Writes(write), (X,))
    for _ in range(4):
        assert torch.equal(right.again()[0], right.outputs[0])
    doubled = right.again(change=lambda t: t * 2)[0]
    assert torch.equal(right.again()[0], right.outputs[0])
    assert not torch.equal(doubled, right.outputs[0])


def test_parameters_are_copied_for_the_first_runs_only():
    right = truth(Writes(lambda w: w), (X,))
    copies = []
    for _ in range(3):
        right.again()
        ((copied, *_),) = right.cache["parameters"]._copies.values()
        copies.append(copied)
    assert copies[0] is copies[1] is copies[2]
    assert copies[0].dtype == torch.float64
