import torch

from harness.cases import blocks
from harness.cases.blocks_of import blocks_of
from harness.cases.extraction import trace


class Mlp(torch.nn.Module):
    def __init__(self, size, hidden):
        super().__init__()
        self.up, self.down = torch.nn.Linear(size, hidden), torch.nn.Linear(hidden, size)
        self.act = torch.nn.ReLU(inplace=True)

    def forward(self, x):
        return x + self.down(self.act(self.up(x)))


class Network(torch.nn.Module):
    """Two feed-forward blocks of different sizes, and something else; `shared` is called twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Mlp(4, 8), Mlp(6, 3)
        self.between, self.shared = torch.nn.Linear(4, 6), torch.nn.Tanh()

    def forward(self, x):
        x = self.shared(self.between(self.first(x)))
        return self.shared(self.second(x) * 2) - torch.arange(6)


def found(module, *inputs):
    return blocks_of(trace(torch.export.export(module.eval(), inputs), inputs, {}))


def test_blocks_of_one_structure_are_one_whatever_their_sizes():
    (block,) = found(Network(), torch.randn(2, 4))
    assert (block.kind.rpartition(".")[2], block.count) == ("Mlp", 2)
    assert [call.op for call in block.block.calls.values()] == [
        "aten.linear.default",
        "aten.relu.default",
        "aten.linear.default",
        "aten.add.Tensor",
    ]
    assert [tensor.shape for tensor in block.block.inputs.values()] == [(2, 4)]
    assert [tensor.shape for tensor in block.block.constants.values()] == [(8, 4), (8,), (4, 8), (4,)]


def test_a_block_runs_and_gives_what_the_module_gives():
    module = Network()
    (block,) = found(module, torch.randn(2, 4))
    alone, inputs = blocks.module_and_inputs(block.block, seed=0)
    held = dict(zip(module.first.state_dict(), alone.buffers(), strict=True))
    module.first.load_state_dict(held)
    assert torch.allclose(alone(*inputs), module.first(*inputs))


def test_a_module_with_one_call_and_the_whole_program_are_none():
    assert not found(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()), torch.randn(2, 4))


def test_what_chance_draws_is_in_no_block():
    class Noisy(Mlp):
        def forward(self, x):
            return super().forward(x) + torch.rand(2, 4)

    network = Network()
    network.first = Noisy(4, 8)
    assert [block.count for block in found(network, torch.randn(2, 4))] == [1]
