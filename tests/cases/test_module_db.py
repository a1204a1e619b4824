import pytest
import torch

from harness.cases import module_db
from harness.cases.case import CaseFault
from harness.cases.index.modules import labels_of


class Given:
    """An argument list as the table has it."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class Variant:
    def __init__(self, constructor, forward):
        self.constructor_input, self.forward_input = constructor, forward


def first(name):
    variant = module_db.variants(name)[0]
    return variant, labels_of([variant])[0]


@pytest.mark.parametrize("name", ["torch.nn.BatchNorm2d", "torch.nn.LayerNorm", "torch.nn.TransformerEncoderLayer"])
def test_no_weight_is_all_ones_or_zeros(name):
    built = module_db.construct(name, *first(name))
    tensors = [*built.module.parameters(), *(b for b in built.module.buffers() if b.is_floating_point())]
    assert tensors
    for tensor in tensors:
        assert tensor.unique().numel() > 1
        assert torch.equal(tensor, tensor.half().float())
    assert all((b > 0).all() for name, b in built.module.named_buffers() if name.endswith("running_var"))


@pytest.mark.parametrize("name", ["torch.nn.Conv2d", "torch.nn.LSTMCell", "torch.nn.TransformerEncoder"])
def test_a_variant_is_the_same_each_time_and_in_eval_mode(name):
    one, other = (module_db.construct(name, *first(name)) for _ in range(2))
    assert not one.module.training
    assert all(torch.equal(a, b) for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(one.leaves, other.leaves, strict=True))
    assert one.seed == other.seed


def test_a_lazy_module_has_its_weights():
    built = module_db.construct("torch.nn.LazyConv2d", *first("torch.nn.LazyConv2d"))
    assert type(built.module) is torch.nn.Conv2d
    assert built.source == "model = torch.nn.LazyConv2d(5, 3)\n"


def test_the_source_is_left_out_where_it_would_not_make_the_module():
    assert module_db.construct("torch.nn.Linear", *first("torch.nn.Linear")).source == ""  # called by a keyword
    assert module_db.construct("torch.nn.LSTMCell", *first("torch.nn.LSTMCell")).source == ""  # called on a tuple
    weighted = Variant(Given(weight=torch.ones(3)), Given(torch.randn(2, 3), torch.tensor([0, 1])))
    assert module_db.construct("torch.nn.NLLLoss", weighted, "").source == ""


@pytest.mark.parametrize(
    ("name", "variant", "why"),
    [
        ("torch.nn.Conv2d", Variant(Given(4, 5, 3), Given(torch.randn(2, 3, 8, 8))), "refuses it: RuntimeError"),
        ("torch.nn.Conv2d", Variant(Given(4), Given(torch.randn(2, 4, 8, 8))), "refuses it: TypeError"),
        ("torch.nn.ReLU", Variant(Given(), Given(2.5)), "on no tensor"),
    ],
)
def test_what_is_no_program_of_tensors_has_a_reason(name, variant, why):
    with pytest.raises(CaseFault, match=why):
        module_db.run(name, variant, "")


def test_what_hangs_on_chance_has_a_reason(monkeypatch):
    class Noisy(torch.nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    class Info:
        module_cls, is_lazy = Noisy, False

    monkeypatch.setattr(module_db, "entries", lambda: {"torch.nn.Noisy": Info})
    with pytest.raises(CaseFault, match="random"):
        module_db.run("torch.nn.Noisy", Variant(Given(), Given(torch.ones(3))), "")
