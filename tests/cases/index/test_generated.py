import fnmatch
import operator

import pytest
import torch

from harness.cases.calls import parse
from harness.cases.index import generated as generated_index
from harness.cases.index.generated import (
    SEED_LABEL,
    Variant,
    arguments_that_matter,
    chosen_for_standard,
    index_of,
    is_random,
    kind_of,
    read_index,
    results_of,
    seed_calls,
    signature_of,
    to_text,
)

#: One of each kind; the whole takes minutes.
SAMPLE = (
    "aten.add.Tensor",
    "aten.gelu.default",
    "aten.sum.dim_IntList",
    "aten.conv2d.default",
    "aten.arange.default",
    "aten.cat.default",
    "aten.randn.default",
    "quantized_decomposed.quantize_per_tensor.default",
)


@pytest.mark.parametrize("op", SAMPLE)
def test_the_index_is_what_the_axes_make_of_the_seed(op):
    listed = [variant for variant in read_index(torch.__version__) if variant.op == op]
    made = index_of(seed_calls(torch.__version__)[op])
    # As the table has them: by dtype, level and axis.
    assert to_text(listed, "") == to_text(made, "")


def test_every_seed_call_is_in_the_index_and_comes_first():
    first: dict[str, str] = {}
    for variant in read_index(torch.__version__):
        first.setdefault(variant.op, variant.axis)
    assert set(first) == set(seed_calls(torch.__version__))
    assert set(first.values()) == {"seed"}


ADD = "aten.add.Tensor(float32(2), float32(2))"
VARIANTS = [
    Variant("aten.add.Tensor", "float32", "seed", "standard", SEED_LABEL, ADD),
    Variant("aten.add.Tensor", "float32", "options", "standard", "alpha=2", ADD),
    Variant("aten.add.Tensor", "float32", "options", "full", "alpha=3", ADD),
    Variant("aten.add.Tensor", "int32", "dtypes", "full", "int32", ADD),
    Variant("aten.neg.default", "float32", "seed", "standard", SEED_LABEL, "aten.neg.default(float32(2))"),
]


def test_lines_are_read_as_they_are_written(monkeypatch, tmp_path):
    monkeypatch.setattr(generated_index, "PATH", tmp_path / "generated.jsonl")
    generated_index.PATH.write_text(to_text(VARIANTS, "0.0.1"))
    assert read_index("0.0.1") == VARIANTS


def test_what_eager_refuses_is_left_out_and_what_ends_its_process_too():
    good, bad = parse("aten.mm.default(float32(2, 3), float32(3, 4))"), parse("aten.mm.default(float32(2), float32(3))")
    one, refused, again = results_of([good, bad, good])
    assert one == again
    assert (bool(one), refused) == (True, "")
    # What raises in the other process ends it; the next question is put to a new one.
    assert results_of([bad, good, bad, good], operator.methodcaller("ends")) == [""] * 4
    assert results_of([good]) == [one]


def test_large_results_are_left_out():
    assert results_of([parse("aten.repeat.default(float32(100), [1000])")]) == [""]


def test_schemas():
    signature = {p.name: p for p in signature_of("aten.sum.dim_IntList")}
    assert (signature["dim"].kind, signature["dim"].has_default) == ("int[]?", False)
    assert (signature["dtype"].kind, signature["dtype"].keyword_only) == ("ScalarType?", True)
    assert signature_of("aten.conv2d.default")[3].default == [1, 1]
    with pytest.raises(AttributeError):
        signature_of("aten.nonsense.default")
    assert kind_of("Optional[Tensor]") == "Tensor?"


def test_random_operators():
    assert is_random("aten.rand.default")
    assert not is_random("aten.add.Tensor")


def test_standard_takes_each_option_once_before_other_values_of_one():
    found = [("seed", "call")] + [("options", f"{p}={v}") for p in "abc" for v in (1, 2)]
    assert chosen_for_standard("aten.x.y", found, {}) == {"call", "a=1", "b=1", "c=1"}


def test_standard_takes_of_each_argument_a_variant_in_which_it_matters():
    options = [f"{p}={v}" for p in "abcd" for v in (1, 2)]
    found = [("seed", "call"), *(("options", label) for label in options), ("option_pairs", "c=1,d=2")]
    results = ["r", "r", "a2", "b1", "b2", "r", "r", "r", "r", "cd"]
    matters = arguments_that_matter(found, results)
    assert matters == {"a=2": {"a"}, "b=1": {"b"}, "b=2": {"b"}, "c=1,d=2": {"c", "d"}}
    assert chosen_for_standard("aten.x.y", found, matters) == {"call", "a=2", "b=1", "c=1", "d=1", "c=1,d=2"}


def test_an_argument_matters_in_a_pair_that_eager_takes_only_with_the_other():
    found = [("seed", "call"), ("options", "stride=2"), ("option_pairs", "stride=2,output_padding=1")]
    matters = arguments_that_matter(found, ["r", "s", "t"])
    assert matters["stride=2,output_padding=1"] == {"output_padding"}
    assert chosen_for_standard("aten.x.y", found, matters) == {"call", "stride=2", "stride=2,output_padding=1"}


def test_uneven_sizes_come_first():
    found = [("seed", "call")] + [("options", f"stride={v}") for v in ("2x2", "4x4", "1x2")]
    matters = {label: {"stride"} for _, label in found[1:]}
    assert chosen_for_standard("aten.x.y", found, matters) == {"call", "stride=1x2"}


def test_values_of_uninitialised_memory_are_not_part_of_a_result():
    call = parse("aten.empty.memory_format([4, 4])")
    assert len(set(results_of([call] * 3))) == 1


def test_other_axes_begin_elsewhere_for_other_operators():
    found = [("seed", "call")] + [("ranks", f"rank{n}") for n in range(6)]
    chosen = {next(iter(chosen_for_standard(f"aten.op{n}.default", found, {}) - {"call"})) for n in range(40)}
    assert len(chosen) == 6


def test_every_meaningless_variant_would_be_taken_otherwise_and_is_left_out():
    listed = {(variant.op, variant.label) for variant in read_index(torch.__version__)}
    assert not any(generated_index.is_meaningless(op, label) for op, label in listed)
    for ops, labels, reason in generated_index.MEANINGLESS:
        assert reason
        assert any(fnmatch.fnmatchcase(op, ops) for op in seed_calls(torch.__version__)), (ops, labels)
