import json

import pytest
import torch

from harness.cases import extracted
from harness.cases.calls import parse
from harness.cases.index.extracted import gathered, signature, standard_blocks, standard_calls, to_text
from harness.cases.models import MODELS, SMALL
from harness.cases.models.model import Made, Model


def model(name, make):
    return Model(name, name, "vision", make)


def test_the_committed_index_has_the_calls_of_a_model():
    bert = next(model for model in MODELS if model.name == "bert")
    tally, left_out = gathered([bert])
    assert not left_out
    calls, blocks = extracted.read_index()
    here = {row.text: row.times for row in calls if "bert" in row.models}
    assert here.keys() == tally.calls.keys()
    assert all(here[text] >= tallied.count for text, tallied in tally.calls.items())
    assert {row.digest for row in blocks if "bert" in row.models} == tally.blocks.keys()


def test_a_model_that_cannot_be_made_or_exported_is_named_with_the_reason():
    class Branches(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    def absent():
        raise ImportError("No module named 'nonsense'")

    models = [model("absent", absent), model("branches", lambda: Made(Branches(), (torch.ones(2),)))]
    tally, left_out = gathered(models)
    assert not tally.calls
    assert "nonsense" in left_out["absent"]
    assert left_out["branches"].startswith("does not export: ")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("aten.mean.dim(float32(4, 6, low=0.0, high=1.0), [-1], True)", True),
        ("aten.mean.dim(float32(2, 3), [0], True)", False),
        ("aten.mean.dim(float32(2, 3), [-1])", False),
        ("aten.mean.dim(float32(2, 3, 4), [-1], True)", False),
        ("aten.mean.dim(float16(2, 3), [-1], True)", False),
    ],
)
def test_a_signature_knows_options_ranks_and_dtypes_but_no_sizes(other, same):
    one = signature(parse("aten.mean.dim(float32(2, 3), [-1], True)"))
    assert (signature(parse(other)) == one) is same


def test_sizes_in_arguments_are_sizes():
    views = ["aten.view.default(float32(2, 3), [3, 2])", "aten.view.default(float32(4, 3), [2, 6])"]
    assert len({signature(parse(text)) for text in views}) == 1


def test_standard_has_the_smallest_call_of_a_signature_and_the_text_all():
    tally, left_out = gathered([SMALL[0]])
    standard = standard_calls(tally)
    assert 0 < len(standard) < len(tally.calls)
    rows = [json.loads(line) for line in to_text(tally, left_out, torch.__version__).splitlines()[1:]]
    assert {row["call"] for row in rows if row.get("level") == "standard" and "call" in row} == standard
    assert sum("call" in row for row in rows) == len(tally.calls)
    assert sum("lines" in row for row in rows) == len(tally.blocks)


def test_a_block_that_is_part_of_another_is_left_to_it_at_standard():
    bert = next(model for model in SMALL if model.name == "bert")
    tally, _ = gathered([bert])
    for tallied in tally.blocks.values():
        tallied.count = 2
    kinds = {tally.blocks[structure].kind.rpartition(".")[2] for structure in standard_blocks(tally)}
    assert "BertLayer" in kinds
    assert not kinds & {"BertSelfAttention", "BertAttention", "BertIntermediate"}
