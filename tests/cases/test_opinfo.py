import functools
import math
import random
import re
import types
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.cases import opinfo
from harness.cases.case import CaseFault
from harness.cases.find import find
from harness.cases.index.opinfo import STANDARD_SAMPLES, read_index
from harness.cases.opinfo import build, cases, on_fp16_grid
from harness.evidence.vocabulary import HarnessError, Level

LARGEST = torch.finfo(torch.float16).max
SAMPLE = random.Random(2).sample(cases(), 30)


# The table of cases.


def test_ids_are_unique_and_readable():
    ids = [case.id for case in cases()]
    assert len(ids) == len(set(ids)) > 19_000
    for case in cases():
        suite, op, dtype, sample = case.id.split("/")
        assert (suite, dtype) == ("ops", case.dtype)
        # The second for an entry without samples, of which only the name is known.
        assert op in (case.op, f"torch.{case.api}")
        assert sample.startswith("opinfo-")
        assert not set(case.id) & set("@ [],\n")


def test_every_entry_of_opinfo_has_a_case_at_level_smoke():
    from torch.testing._internal.common_methods_invocations import op_db

    smoke = {case.api for case in cases() if case.level is Level.SMOKE}
    names = {f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name for op in op_db}
    assert smoke == names


def test_every_entry_has_one_smoke_case_a_dtype_and_a_handful_at_standard():
    by_entry = {}
    for case in cases():
        by_entry.setdefault((case.api, case.dtype), []).append(case.level)
    for entry, levels in by_entry.items():
        assert levels.count(Level.SMOKE) == 1, entry
        # The smoke case is one of the handful; one more has its weights as constants.
        assert levels.count(Level.STANDARD) <= STANDARD_SAMPLES - 1 + 1, entry


def test_a_torch_without_an_index_is_named(monkeypatch):
    monkeypatch.setattr(opinfo, "version_of", lambda _d: "0.0.1")
    with pytest.raises(HarnessError, match=r"no index of OpInfo samples for torch 0\.0\.1"):
        opinfo._index.__wrapped__()


# Cases made real.


@functools.cache
def made(case):
    try:
        return case.build()
    except CaseFault:
        return None


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.id)
def test_a_case_can_be_made_and_run(case):
    built = made(case)
    if built is None:
        pytest.skip("at fault itself; how many may be is tested below")
    assert not built.module.training
    assert all(isinstance(t, torch.Tensor) and not t.requires_grad for t in built.inputs)
    for tensor in built.inputs:
        if tensor.dtype is torch.float32:
            assert torch.equal(tensor.half().float().nan_to_num(), tensor.nan_to_num())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(built.seed)
        built.module(*(t.clone() for t in built.inputs))


def test_few_cases_are_at_fault_themselves():
    assert sum(made(case) is None for case in SAMPLE) <= len(SAMPLE) // 10


def test_a_case_is_the_same_in_whatever_order_cases_are_made():
    number = 3
    first = build("add", "", "float32", number)
    opinfo._samples.cache_clear()
    torch.manual_seed(1234)
    build("nn.functional.gelu", "", "float32", 0)
    build("add", "", "float32", 7)
    again = build("add", "", "float32", number)
    assert first.seed == again.seed
    assert all(torch.equal(a, b) for a, b in zip(first.inputs, again.inputs, strict=True))


def test_samples_of_an_entry_have_seeds_of_their_own():
    assert len({build("add", "", "float32", n).seed for n in range(5)}) == 5


def test_tensor_arguments_are_inputs_and_others_stay_in_the_module():
    built = build("clamp", "", "float32", 0)
    reference = torch.clamp(*built.inputs) if len(built.inputs) == 3 else None
    assert len(built.inputs) >= 1
    if reference is not None:
        assert torch.equal(built.module(*built.inputs), reference)
    changed = built.module(*(t + 1 for t in built.inputs))
    assert not torch.equal(changed, built.module(*built.inputs))


def test_with_constants_all_tensors_but_the_first_are_buffers():
    constants = [case for case in cases() if case.id.endswith("-constants")]
    assert {c.op for c in constants} >= {"aten.linear.default", "aten.conv2d.default"}
    case = next(c for c in constants if c.op == "aten.linear.default")
    plain = find(case.id.removesuffix("-constants")).build()
    built = case.build()
    assert len(built.inputs) == 1
    assert len(list(built.module.buffers())) == len(plain.inputs) - 1 > 0
    assert torch.equal(built.module(*built.inputs), plain.module(*plain.inputs))


def test_named_results_are_plain_tuples():
    case = next(c for c in cases() if c.op == "aten.max.dim" and c.level is not Level.FULL)
    built = case.build()
    assert type(built.module(*built.inputs)) is tuple


def test_an_entry_without_samples_is_a_fault_of_the_case_with_its_reason():
    (entry,) = [e for e in read_index(torch.__version__) if e.note][:1]
    (case,) = [c for c in cases() if (c.api, c.dtype) == (entry.full_name, entry.dtype)]
    assert (case.id, case.level) == (f"ops/torch.{entry.full_name}/{entry.dtype}/opinfo-without-sample", Level.SMOKE)
    with pytest.raises(CaseFault, match=re.escape(entry.note)):
        case.build()


def test_a_sparse_sample_is_a_fault_of_the_case(monkeypatch):
    sparse = types.SimpleNamespace(input=torch.eye(2).to_sparse(), args=(), kwargs={})
    monkeypatch.setattr(opinfo, "_samples", lambda *_: (sparse,))
    with pytest.raises(CaseFault, match="sparse"):
        build("add", "", "float32", 0)


def test_a_sample_generator_that_raises_is_a_fault_of_the_case(monkeypatch):
    def broken(*_):
        raise RuntimeError("no LAPACK here")

    monkeypatch.setattr(opinfo, "_samples", broken)
    with pytest.raises(CaseFault, match="RuntimeError: no LAPACK here"):
        build("add", "", "float32", 0)


def test_making_samples_leaves_torchs_grad_mode_alone():
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            opinfo._samples.cache_clear()
            build("sum", "", "float32", 0)
            assert torch.is_grad_enabled() is enabled


# The fp16 grid.

FLOATS = st.floats(width=32) | st.sampled_from(
    [math.inf, -math.inf, math.nan, 0.0, -0.0, 65504.0, 65519.9, 65520.0, 1e-8]
)


@given(st.lists(FLOATS, min_size=1, max_size=8), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_values_are_rounded_to_fp16_and_saturate(values, dtype):
    tensor = torch.tensor(values, dtype=dtype)
    result = on_fp16_grid(tensor)
    assert result.dtype is dtype
    # bfloat16 holds fewer digits than fp16: the largest of its numbers that is finite in fp16 is smaller.
    largest = 65280.0 if dtype is torch.bfloat16 else LARGEST
    for before, after in zip(tensor.tolist(), result.tolist(), strict=True):
        if math.isnan(before) or math.isinf(before):
            assert math.isnan(after) if math.isnan(before) else after == before
        else:
            assert after == torch.tensor(max(-largest, min(before, largest)), dtype=torch.float64).half().item()
            assert math.copysign(1, after) == math.copysign(1, before)
    assert torch.equal(on_fp16_grid(result).nan_to_num(), result.nan_to_num())
    assert torch.equal(result.half().to(dtype).nan_to_num(), result.nan_to_num())


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.int8, torch.uint8, torch.bool, torch.float16, torch.float8_e4m3fn]
)
def test_other_types_are_copied(dtype):
    tensor = torch.tensor([0, 1, 1]).to(dtype)
    result = on_fp16_grid(tensor)
    assert result.dtype is dtype
    assert torch.equal(result.to(torch.float32), tensor.to(torch.float32))
    assert result.data_ptr() != tensor.data_ptr()


@pytest.mark.parametrize("conjugate", [False, True])
def test_complex_values_are_rounded_in_both_parts(conjugate):
    tensor = torch.tensor([1 / 3 + 1e9j, complex(math.nan, -0.1)], dtype=torch.complex64)
    tensor = tensor.conj() if conjugate else tensor
    result = on_fp16_grid(tensor)
    parts = torch.view_as_real(result.resolve_conj())
    assert torch.equal(parts.half().float().nan_to_num(), parts.nan_to_num())
    assert result[0].imag.item() == (-LARGEST if conjugate else LARGEST)
    assert on_fp16_grid(torch.empty(0, 2, dtype=torch.complex64)).shape == (0, 2)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.rand(3, 4).T,
        torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.tensor(1 / 3),
        torch.empty(0, 3),
    ],
    ids=["transposed", "channels last", "scalar", "empty"],
)
def test_the_layout_is_kept_and_the_tensor_left_alone(tensor):
    before = tensor.clone()
    result = on_fp16_grid(tensor)
    assert result.stride() == tensor.stride()
    assert result.shape == tensor.shape
    assert torch.equal(tensor, before)


def test_a_tensor_that_broadcasts_is_made_whole():
    result = on_fp16_grid(torch.tensor([1 / 3, 2 / 3]).expand(3, 2))
    result[0, 0] = 5
    assert result[1, 0] != 5
