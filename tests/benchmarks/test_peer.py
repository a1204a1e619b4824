from types import SimpleNamespace

import pytest
import torch

from benchmarks.bench_peer import Tests, of_tensors


def item(name, flow="coreml", skipped=False):
    runner = SimpleNamespace(name=flow, should_skip_test=lambda _name, _params: (skipped, ""))
    return SimpleNamespace(nodeid=name, originalname=name, callspec=SimpleNamespace(params={"test_runner": runner}))


def test_tests_of_the_flow_are_shared_out_by_blocks():
    items = [item(name) for name in "dbca"] + [item("e", "coreml_static_int8"), item("f", skipped=True)]
    blocks = []
    for number in range(2):
        left = [*items, SimpleNamespace(nodeid="no parameters")]
        Tests(4, number, 2, collect=True).pytest_collection_modifyitems(None, left)
        blocks.append([one.nodeid for one in left])
    assert blocks == [["a", "c"], ["b", "d"]]


def test_the_first_model_of_a_test_is_collected_and_no_other():
    tests = Tests(4, 0, 1, collect=True)
    replaced = tests.take(lambda *_arguments: pytest.fail("the peer's own must not run"))
    for model in ("first", "second"):
        with pytest.raises(pytest.skip.Exception):
            replaced(model, (), None, "test_a[coreml]", "test_a", 0, None)
    assert tests.collected == {"test_a[coreml]": ("first", ())}


class Picking(torch.nn.Module):
    def forward(self, x, where):
        return x[where]


def test_a_model_of_tensors_stays_as_it_is():
    model, x = torch.nn.ReLU(), torch.ones(2)
    assert of_tensors(model, (x,))[0] is model


def test_inputs_in_a_tuple_become_inputs_of_their_own():
    x, row, column = torch.arange(6.0).reshape(2, 3), torch.tensor([1]), torch.tensor([2])
    model, inputs = of_tensors(Picking(), (x, (row, column)))
    assert len(inputs) == 3
    assert torch.equal(model(*inputs), x[row, column])
