import pytest
import torch
from torch import nn

from harness.cases.models.settle import images, settled


class _LayerScale(nn.Module):
    """As ConvNeXt and timm name and start theirs."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((8,), value))

    def forward(self, x):
        return x * self.gamma


def made(*layers):
    torch.manual_seed(0)
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("norm", "conv", "shape"),
    [
        (nn.BatchNorm1d, nn.Conv1d, (4, 3, 50)),
        (nn.BatchNorm2d, nn.Conv2d, (4, 3, 12, 12)),
        (nn.BatchNorm3d, nn.Conv3d, (4, 3, 6, 6, 6)),
    ],
)
def test_batch_normalisation_of_each_kind_gets_the_statistics_of_its_own_activations(norm, conv, shape):
    model = made(conv(3, 4, 3, bias=False), norm(4, affine=False))
    batch = 5 + torch.randn(shape)
    with torch.no_grad():
        model[0].weight.add_(0.5)
        out = settled(model, batch)(batch)
    assert 0.9 < out.std() < 1.1
    assert out.mean().abs() < 0.1
    assert not model.training


def test_only_batch_normalisation_is_in_training_while_it_is_settled():
    """Dropout would be in its statistics, and some models compute more in training."""
    model = made(nn.Conv2d(3, 4, 3), nn.Dropout(1.0), nn.BatchNorm2d(4))
    settled(model, torch.randn(2, 3, 8, 8))
    assert (model[2].running_var > 0.1).all()


def test_a_channel_that_was_silent_is_not_magnified():
    model = made(nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2))
    with torch.no_grad():
        model[0].weight[0] *= 1e-6
    settled(model, torch.randn(2, 3, 8, 8))
    assert model[1].running_var[0] > 0.01


@pytest.mark.parametrize("value", [0.0, 1e-6, 1e-5])
def test_a_layer_scale_does_not_make_its_block_vanish(value):
    model = settled(made(_LayerScale(value)))
    assert (model[0].gamma > 0.5).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(4)])
def test_what_a_norm_multiplies_by_differs_from_channel_to_channel(norm, value):
    nn.init.constant_(norm.weight, value)
    settled(made(norm))
    assert (norm.weight > 0.5).all()
    assert norm.weight.unique().numel() == 4
    assert norm.bias.unique().numel() == 4


@pytest.mark.parametrize("layer", [nn.Linear(64, 32), nn.Conv2d(64, 32, 1), nn.ConvTranspose2d(64, 32, 1)])
@pytest.mark.parametrize("size", [0.0, 0.01])
def test_a_weight_too_small_for_its_inputs_keeps_a_signal(layer, size):
    torch.manual_seed(0)
    nn.init.normal_(layer.weight, std=size)
    settled(made(layer))
    assert 0.8 < layer.weight.std() * 64**0.5 < 1.2


def test_a_weight_of_its_own_size_stays_as_it_is():
    layer = nn.Linear(64, 32)
    before = layer.weight.detach().clone()
    settled(made(layer))
    assert torch.equal(layer.weight, before)


def test_a_table_of_positions_that_starts_at_zero_gets_values():
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relative_position_bias_table = nn.Parameter(torch.zeros(9, 2))

    model = settled(made(Positions()))
    assert model[0].relative_position_bias_table.unique().numel() == 18


def test_images_differ_in_more_than_grain():
    torch.manual_seed(0)
    means = images(16, 32).mean((2, 3))
    assert means.std() > 0.1
