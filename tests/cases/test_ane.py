import subprocess
import sys

import pytest
import torch

from harness.cases import ane, find
from harness.cases.calls import parse, read_calls
from harness.cases.case import CaseFault
from harness.cases.index import ane as ane_index
from harness.cases.index.generated import seed_calls
from harness.evidence.unit import UnitSpec
from harness.evidence.universe import read_universe
from harness.evidence.vocabulary import Level

CASES = ane.cases()


def test_an_operator_of_the_universe_has_a_case_or_a_reason():
    operators = read_universe().operators
    reasons = ane.left_out(read_universe())
    covered = [case.op for case in CASES]
    assert len(covered) == len(set(covered))
    assert sorted([*covered, *reasons]) == sorted(operators)
    assert all(reasons.values())
    assert len(covered) > 0.75 * len(operators)


def test_a_case_says_what_it_is_and_is_found_by_its_id():
    case = find.find("ops/aten.gelu.default/float32/ane")
    assert (case.op, case.dtype, case.origin, case.level) == ("aten.gelu.default", "float32", "ane", Level.STANDARD)
    assert all(case.ane and case.id == f"ops/{case.op}/float32/ane" for case in CASES)


@pytest.mark.parametrize("unit", ["reference", "cpu_only", "cpu_and_gpu", "cpu_and_ne", "all", "device:iPhone"])
def test_it_runs_where_the_ane_may_be_used(unit):
    spec = UnitSpec.parse(unit)
    assert CASES[0].runs_on(spec) is spec.may_use_ane
    assert find.find("ops/aten.neg.default/float32/opinfo-1df5b9").runs_on(spec)


def test_listing_imports_no_torch():
    code = "import sys; from harness.cases.ane import cases; print(len(cases()) > 300, 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True False"


@pytest.mark.parametrize(
    ("call", "reaches"),
    [
        ("aten.log.default(float32(1, 16, 8, 8, low=0.25, high=4.0))", (1, 16, 8, 8)),
        ("aten.eq.Scalar(float32(1, 16, 8, 8, values='whole'), 1.0)", (1, 16, 8, 8)),
        ("aten.mean.default(float32(3, 5))", (3, 5)),
        ("aten.fill.Tensor(float32(2, 3, constant=True), float32())", ()),
        ("aten.addmm.default(float32(3, constant=True), float32(16, 4), float32(4, 3))", (16, 4)),
        ("aten.where.self(bool(3, 4), float32(3, 4), float32(3, 4))", (3, 4)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_operator_receives_what_its_call_draws_exactly_in_either_precision(call, reaches, dtype):
    from harness.cases.generated import module_and_inputs

    drawn = module_and_inputs(parse(call), ane.build(call).seed)[1][ane.place_of(parse(call))]
    built = ane.build(call)
    received = []
    module = built.module.to(dtype)
    place = ane.place_of(parse(call))
    module.operator.register_forward_pre_hook(lambda _, inputs: received.append(inputs[place]))
    module(*(t.to(dtype) if t.is_floating_point() else t for t in built.inputs))
    assert received[0].shape == reaches
    assert torch.equal(received[0].float(), drawn)


def test_the_program_is_convolution_operator_linear():
    built = ane.build("aten.max_pool2d_with_indices.default(float32(1, 16, 8, 8), [2, 2])")
    exported = torch.export.export(built.module, built.inputs)
    called = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert called[0] == "aten.conv2d.default"
    assert "aten.max_pool2d_with_indices.default" in called
    assert called[-1] == "aten.linear.default"
    x, weight, bias = built.inputs[0], built.module.linear.weight, built.module.linear.bias
    assert x.shape == (1, 16, 8, 8)
    pooled = torch.nn.functional.max_pool2d(x.flip(1) / 2, 2)
    assert torch.equal(built.module(x), torch.nn.functional.linear(pooled.reshape(-1, 4), weight, bias))


def test_a_result_that_is_no_float_is_made_one():
    built = ane.build("aten.gt.Scalar(float32(1, 16, 64), 0.0)")
    truth = (built.inputs[0].flip(1).reshape(1, 16, 64) > 0).float()
    assert torch.equal(built.module(*built.inputs), built.module.linear(truth))


def test_the_same_call_draws_the_same_values_each_time():
    one, again = (ane.build("aten.abs.default(float32(9))") for _ in range(2))
    assert torch.equal(one.inputs[0], again.inputs[0])
    assert torch.equal(one.module.linear.weight, again.module.linear.weight)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("aten.arange.default(7)", "no floating-point input"),
        ("aten.nonsense.default(float32(2))", "torch has no operator"),
        ("aten.is_floating_point.default(float32(2))", "its first result is no tensor but bool"),
    ],
)
def test_a_call_that_does_not_fit_is_a_fault_of_the_case(call, reason):
    with pytest.raises(CaseFault, match=reason):
        ane.build(call)


def test_every_case_gives_a_finite_tensor_of_rows_of_sixteen():
    """Some of them here; the index was made by trying all."""
    for case in [case for case in CASES if case.op.startswith("aten.")][::20]:
        built = case.build()
        result = built.module(*built.inputs)
        assert result.shape[-1] == ane.OUT_FEATURES, case.id
        assert torch.isfinite(result).all(), case.id
        assert result.dtype == torch.float32, case.id


# The index.


@pytest.mark.parametrize(
    ("seed", "reason"),
    [
        ("aten.rand.default([1, 3])", ane_index.RANDOM),
        ("aten.resize_.default(float32(5, 5), [25])", ane_index.MUTABLE),
        ("aten.nonzero.default(float32(5, 5))", ane_index.DATA_DEPENDENT),
        ("aten.empty_like.default(float32(5, 5))", ane_index.NOT_INITIALISED),
        ("aten.bitwise_not.default(bool(5, 5))", ane_index.NO_FLOAT),
        ("aten.mm.default(float32(5, 5, constant=True), float32(5, 5, constant=True))", ane_index.NO_FLOAT),
        ("aten.gelu.default(float32(5, 5))", ""),
    ],
)
def test_schema_and_arguments_tell_why_an_operator_has_no_case(seed, reason):
    assert ane_index.reason_of_schema(parse(seed)) == reason


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("aten.gelu.default(float32(1, 16, 8, 8))", ane_index.OK),
        ("aten.isnan.default(float32(4))", ane_index.OK),
        ("aten.fft_fft.default(float32(4))", ane_index.COMPLEX),
        ("aten.slice.Tensor(float32(4, 4), 0, 4)", ane_index.EMPTY),
        ("aten.log.default(float32(4, low=-2.0, high=-1.0))", ane_index.NOT_NUMBERS),
        ("aten.ones_like.default(float32(4))", ane_index.CONSTANT),
        ("aten.permute.default(float32(4), [0, 1])", ""),
    ],
)
def test_eager_decides_whether_a_call_stands_between_the_layers(call, answer):
    assert ane_index.outcome_of(parse(call)) == answer


def test_a_call_takes_the_shape_of_an_image_with_the_tensors_like_it():
    seed = parse("aten.where.self(bool(5, 5), float32(5, 5, values='special', layout='transposed'), float32(5))")
    first, second, last = map(str, ane_index.candidates_of(seed))
    assert first == "aten.where.self(bool(1, 16, 8, 8), float32(1, 16, 8, 8), float32(5))"
    assert second == "aten.where.self(bool(16, 64), float32(16, 64), float32(5))"
    assert last == "aten.where.self(bool(5, 5), float32(5, 5), float32(5))"


def test_the_index_is_what_its_builder_makes(monkeypatch):
    # None of these ends the process that asks.
    monkeypatch.setattr(ane_index, "results_of", lambda calls, asked: [asked(call) for call in calls])
    seeds = seed_calls(torch.__version__)
    by_hand = {call.op: call for call in read_calls(ane_index.SEEDS.read_text())}
    assert set(by_hand) <= set(seeds)
    rows = {row.op: row for row in ane._index()}
    assert sorted(rows) == sorted(seeds)
    for op in [op for op in sorted(seeds) if op.startswith("aten.")][::40]:
        assert ane_index.row_of(seeds[op], by_hand.get(op)) == rows[op]


def test_a_call_written_by_hand_is_taken():
    by_hand = {call.op: call for call in read_calls(ane_index.SEEDS.read_text())}
    calls = {row.op: row.call for row in ane._index()}
    assert {op: calls[op] for op in by_hand} == {op: str(call) for op, call in by_hand.items()}
