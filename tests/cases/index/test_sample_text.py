import functools

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import SampleInput

from harness.cases.index.sample_text import call_text, id_texts, samples_of

ENTRIES = [op for op in op_db if torch.float32 in op.dtypes][::16]


def test_a_call_as_text():
    sample = SampleInput(torch.rand(10, 10), kwargs={"approximate": "tanh"})
    assert call_text("gelu", sample) == "gelu(float32[10, 10], approximate='tanh')"
    assert call_text("t", SampleInput(torch.rand(3, 4).T)) == "t(float32[4, 3, strides=(1, 4)])"


@pytest.mark.parametrize("op", ENTRIES, ids=lambda op: op.full_name)
def test_a_sample_put_first_changes_no_other_id(op, monkeypatch):
    before = list(id_texts(op.name, functools.partial(samples_of, op, torch.float32)))
    plain = op.sample_inputs

    def with_one_first(*args, **kwargs):
        yield SampleInput(torch.rand(7, 11, 13))
        yield from plain(*args, **kwargs)

    monkeypatch.setattr(op, "sample_inputs", with_one_first)
    assert list(id_texts(op.name, functools.partial(samples_of, op, torch.float32)))[1:] == before
