import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.cases.index.opinfo import (
    STANDARD_SAMPLES,
    STANDARD_SAMPLES_OWN_DTYPES,
    Entry,
    _dtypes_of,
    _entry,
    choose_varied,
    entries_of,
    plainest,
    plainest_of_each,
    read_index,
    shortened,
)
from harness.evidence.vocabulary import HarnessError

INDEX = read_index(torch.__version__)
#: Entries compared with what the installed torch makes now, from all over OpInfo; of few samples, to be quick.
COMPARED = [entry for entry in INDEX if 0 < len(entry.overloads) <= 12]
COMPARED = COMPARED[:: len(COMPARED) // 15]


@pytest.fixture(scope="module")
def op_db():
    from torch.testing._internal.common_methods_invocations import op_db

    return op_db


@pytest.mark.parametrize("entry", COMPARED, ids=lambda entry: f"{entry.full_name}-{entry.dtype}")
def test_the_committed_index_is_what_the_installed_torch_gives(op_db, entry):
    (op,) = [op for op in op_db if (op.name, op.variant_test_name) == (entry.name, entry.variant)]
    dtypes = _dtypes_of(op)
    wanted = STANDARD_SAMPLES if len(dtypes) == 1 else STANDARD_SAMPLES_OWN_DTYPES
    made = _entry(op, getattr(torch, entry.dtype), wanted)
    # How many digits tell a label apart depends on all entries: what is made of one has whole digests.
    assert replace(made, labels=entry.labels) == entry
    assert all(
        whole.startswith(label.partition("-")[0]) for whole, label in zip(made.labels, entry.labels, strict=True)
    )


def test_a_sample_put_before_all_others_changes_no_other_label(op_db):
    for name in ("add", "sum", "nn.functional.gelu", "index_select"):
        (op,) = [op for op in op_db if (op.name, op.variant_test_name) == (name, "")]
        before = shortened(entries_of(op))
        generator = op.sample_inputs_func

        def planted(*args, generator=generator, **kwargs):
            samples = iter(generator(*args, **kwargs))
            first = next(samples)
            changed = copy.copy(first)
            changed.input = torch.full((7, 1, 3), 0.375)
            yield from (changed, first)
            yield from samples

        changed_op = copy.copy(op)
        changed_op.sample_inputs_func = planted
        after = shortened(entries_of(changed_op))
        for one, other in zip(before, after, strict=True):
            assert other.labels[1:] == one.labels
            assert other.labels[0] not in one.labels


def test_every_entry_of_opinfo_is_in_the_index_in_each_of_its_dtypes(op_db):
    expected = {
        (op.name, op.variant_test_name, str(dtype).removeprefix("torch."))
        for op in op_db
        for dtype in _dtypes_of(op) or ["none"]
    }
    assert {(entry.name, entry.variant, entry.dtype) for entry in INDEX} == expected
    assert len(INDEX) == len(expected)


def test_float32_goes_before_an_entrys_own_dtypes(op_db):
    for op in op_db:
        dtypes = _dtypes_of(op)
        assert dtypes == [torch.float32] if torch.float32 in op.dtypes else torch.float32 not in dtypes


def test_an_entry_has_samples_or_says_why_not():
    for entry in INDEX:
        assert bool(entry.overloads) != bool(entry.note), entry.full_name
        if entry.overloads:
            assert entry.smoke in entry.standard
            assert 0 < len(entry.standard) <= STANDARD_SAMPLES
            assert list(entry.standard) == sorted(set(entry.standard))
            assert max(entry.standard) < len(entry.overloads)
        else:
            assert (entry.smoke, entry.standard, entry.constants) == (None, (), None)


def test_operators_of_the_index_are_operators_of_torch():
    for name in {overload for entry in INDEX for overload in entry.overloads}:
        namespace, packet, *overload = name.split(".")
        if namespace == "torch":  # nothing of ATen is called
            continue
        found = getattr(getattr(torch.ops, namespace), packet)
        assert overload[0] in found.overloads(), name


def test_a_line_comes_back_as_its_entry():
    for entry in INDEX:
        assert Entry.from_line(entry.to_line()) == entry


def test_the_index_of_another_torch_is_refused_with_the_command():
    assert read_index("2.13.0+cpu") == read_index("2.13.0")
    with pytest.raises(HarnessError, match=r"no index of OpInfo samples for torch 0\.0\.1, .*run coreml-harness index"):
        read_index("0.0.1")


SETS = st.lists(st.frozensets(st.sampled_from("abcdef")), min_size=1, max_size=8)


@given(SETS, st.integers(1, 4), st.data())
def test_the_varied_choice_holds_the_first_and_each_other_adds_something(features, wanted, data):
    first = data.draw(st.integers(0, len(features) - 1))
    chosen = choose_varied(features, wanted, [first])
    assert first in chosen
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= wanted
    seen = frozenset().union(*(features[c] for c in chosen))
    for other in set(chosen) - {first}:
        assert features[other] - features[first]
    # It ends early only when there is nothing left to see.
    assert len(chosen) == wanted or seen == frozenset().union(*features)


def test_the_richest_sample_comes_next_and_ties_go_to_the_earlier():
    features = [frozenset("a"), frozenset("ab"), frozenset("acd"), frozenset("bcd")]
    assert choose_varied(features, 1, [0]) == [0]
    assert choose_varied(features, 2, [0]) == [0, 3]
    assert choose_varied(features[:3], 2, [0]) == [0, 2]
    assert choose_varied([frozenset("a"), frozenset("b"), frozenset("c")], 2, [0]) == [0, 1]
    assert choose_varied([frozenset("a")] * 3, 3, [1]) == [1]


def test_each_overload_has_its_plainest_sample_and_the_one_the_entry_is_named_after_goes_first():
    overloads = ["aten.b.x", "aten.b.x", "aten.a.default", "aten.b.x"]
    features = [frozenset({"plain", "k"}), frozenset({"plain"}), frozenset(), frozenset({"plain"})]
    assert plainest_of_each("c", overloads, features) == [1, 2]
    assert plainest_of_each("nn.functional.a", overloads, features) == [2, 1]
    assert choose_varied(features, 1, [1, 2]) == [1]


def test_the_plainest_sample_has_ordinary_tensors_and_fewest_options():
    options = [frozenset({"empty"}), frozenset({"plain", "dilation", "weights"}), frozenset({"plain"})]
    assert plainest(options) == 2
    assert plainest(options, having="weights") == 1
    assert plainest(options, having="bias") is None
    assert plainest(options[:1]) == 0
    assert plainest([]) is None
