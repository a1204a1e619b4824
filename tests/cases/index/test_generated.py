import fnmatch
import functools
import operator
import subprocess

import pytest
import torch

from harness.cases.calls import parse
from harness.cases.index import generated as generated_index
from harness.cases.index.generated import (
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
    assert sorted(listed) == sorted(made)
    assert listed[0] == made[0]


def test_every_seed_call_is_in_the_index_and_comes_first():
    first: dict[str, str] = {}
    for variant in read_index(torch.__version__):
        first.setdefault(variant.op, variant.axis)
    assert set(first) == set(seed_calls(torch.__version__))
    assert set(first.values()) == {"seed"}


def test_lines_are_read_as_they_are_written(monkeypatch, tmp_path):
    seed = "aten.add.Tensor(float32(2), float32(2))"
    rows = [("float32", "seed", "call"), ("float32", "options", "alpha=2"), ("int32", "dtypes", "int32")]
    variants = [Variant("aten.add.Tensor", dtype, axis, "standard", label, seed) for dtype, axis, label in rows]
    path = tmp_path / "generated.jsonl"
    path.write_text(to_text(variants, "2.13.0"))
    monkeypatch.setattr(generated_index, "PATH", path)
    assert read_index("2.13.0") == variants
    assert path.read_text().count(seed) == 1


def test_another_schema_changes_the_lines_of_its_operator_alone(monkeypatch):
    """Planted: an operator has one argument less than it had."""
    seeds = seed_calls(torch.__version__)
    ops = ("aten.add.Tensor", "aten.neg.default", "aten.sum.dim_IntList")

    def lines():
        text = to_text([variant for op in ops for variant in index_of(seeds[op])], torch.__version__)
        return {op: [line for line in text.splitlines() if f'"op": "{op}"' in line] for op in ops}

    before = lines()
    real = generated_index.signature_of
    changed = "aten.sum.dim_IntList"
    monkeypatch.setattr(
        generated_index,
        "signature_of",
        lambda op: tuple(p for p in real(op) if (op, p.name) != (changed, "keepdim")),
    )
    after = lines()
    assert {op for op in ops if before[op] != after[op]} == {changed}
    assert "keepdim=True" in str(before[changed])
    assert "keepdim=True" not in str(after[changed])


def test_what_eager_refuses_is_left_out_and_what_ends_its_process_too():
    good, bad = parse("aten.mm.default(float32(2, 3), float32(3, 4))"), parse("aten.mm.default(float32(2), float32(3))")
    one, refused, again = results_of([good, bad, good])
    assert one == again
    assert (bool(one), refused) == (True, "")
    # What raises in the other process ends it; the next question is put to a new one.
    assert results_of([bad, good, bad, good], operator.methodcaller("ends")) == [""] * 4
    assert results_of([good]) == [one]


def test_a_call_that_ends_the_process_once_is_asked_again(tmp_path):
    """What an earlier call wrote where it should not ends the process at any later one."""
    marker = tmp_path / "ended"
    ends_once = ["sh", "-c", f"test -e {marker} || {{ touch {marker}; exit 1; }}"]
    assert results_of([-1], functools.partial(subprocess.check_call, ends_once)) == [0]
    assert marker.exists()


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
