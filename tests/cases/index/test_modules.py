from dataclasses import replace

import pytest
import torch

from harness.cases import module_db
from harness.cases.index.modules import (
    FEW,
    LONGEST,
    OF_LOSSES,
    SMOKE,
    STANDARD,
    Entry,
    call_text,
    entry_of,
    label_text,
    labels_of,
    read_index,
)

INDEX = read_index(torch.__version__)
#: Compared with what the installed torch makes now; of few variants, to be quick.
COMPARED = [entry for entry in INDEX if len(entry.labels) <= 10][::9]


class Given:
    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class Variant:
    def __init__(self, constructor, forward):
        self.constructor_input, self.forward_input = constructor, forward


@pytest.mark.parametrize("entry", COMPARED, ids=lambda entry: entry.name)
def test_the_committed_index_is_what_the_installed_torch_gives(entry):
    assert entry_of(entry.name) == entry


def test_every_module_of_the_table_is_in_the_index_with_all_its_variants():
    assert [entry.name for entry in INDEX] == list(module_db.entries())
    for entry in INDEX:
        if entry.name != "torch.nn.LinearCrossEntropyLoss":  # of hundreds
            assert len(module_db.variants(entry.name)) == len(entry.labels), entry.name


@pytest.mark.parametrize("entry", INDEX[::5], ids=lambda entry: entry.name)
def test_labels_hang_on_no_random_state(entry):
    assert labels_of(module_db.variants(entry.name, state=7)) == entry.labels


def test_a_line_comes_back_as_its_entry():
    for entry in INDEX:
        assert Entry.from_line(entry.to_line()) == entry
    entry = Entry("torch.nn.X", ("a", "b"), (0,), 0, {"b": "it draws random values"})
    assert Entry.from_line(entry.to_line()) == entry
    assert Entry.from_line(replace(entry, standard=(), smoke=None).to_line()).smoke is None


def test_standard_is_a_varied_handful_and_smoke_one_of_it():
    for entry in INDEX:
        most = FEW.get(entry.name, OF_LOSSES if entry.name.endswith("Loss") else STANDARD)
        assert min(most, 1) <= len(entry.standard) <= most
        assert (entry.smoke is not None) is (entry.name in SMOKE)
        assert entry.smoke is None or entry.smoke in entry.standard
        assert not {entry.labels[number] for number in entry.standard} & entry.without.keys()


def test_a_label_says_the_arguments():
    given = Given(4, (3, 2), True, device="cpu", dtype=torch.float32, mode="same", weight=None)
    called = Given(torch.ones(2, 4), [torch.ones(()), torch.ones(3, dtype=torch.bool)], mask=torch.ones(4, 2).T)
    text = label_text(Variant(given, called))
    assert text == "4,(3,2),True,mode=same-2x4,(scalar,bool:3),mask=2x4-strided"
    shown = call_text("torch.nn.Conv2d", Variant(Given(4, 5, 3, padding="same"), Given(torch.ones(2, 4, 3, 4))))
    assert shown == "Conv2d(4,5,3,padding=same)(2x4x3x4)"
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8)
    assert label_text(Variant(Given(layer, 2), Given(torch.ones(1)))).startswith("TransformerEncoderLayer-")
    assert label_text(Variant(Given(torch.tanh), Given(torch.ones(1)))) == "tanh-1"


def test_long_labels_are_digests_and_equal_ones_are_counted():
    long = Variant(Given("x" * LONGEST), Given(torch.ones(1)))
    short = Variant(Given(1), Given(torch.ones(1)))
    first, second, third = labels_of([short, long, short])
    assert (first, third) == ("1-1", "1-1-2")
    assert len(second) == 6
    assert labels_of([long]) == (second,)  # from its content
