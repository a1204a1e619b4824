"""Recurrent networks, short: they are unrolled when lowered."""

from __future__ import annotations

from typing import Any

from harness.cases.models.initialise import initialised
from harness.cases.models.model import RECIPES, Made, Model

_STEPS = 4


def _lstm() -> Made:
    """A tagger: embeddings, one layer both ways, a label for each token."""
    import torch

    class Tagger(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(50, 32)
            self.lstm = torch.nn.LSTM(32, 32, bidirectional=True, batch_first=True)
            self.head = torch.nn.Linear(64, 7)

        def forward(self, ids: Any) -> Any:
            return self.head(self.lstm(self.embedding(ids))[0])

    return Made(initialised(Tagger()), (torch.randint(0, 50, (1, _STEPS)),))


def _gru() -> Made:
    """A forecast: two layers, what they keep given and returned."""
    import torch

    class Forecast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = torch.nn.GRU(6, 32, num_layers=2, batch_first=True)
            self.head = torch.nn.Linear(32, 6)

        def forward(self, series: Any, state: Any) -> Any:
            found, after = self.gru(series, state)
            return self.head(found[:, -1]), after

    return Made(initialised(Forecast()), (torch.randn(1, _STEPS, 6), torch.randn(2, 1, 32)))


def _executorch_lstm() -> Made:
    from executorch.examples.models.lstm import LSTMModel

    example: Any = LSTMModel()
    return Made(initialised(example.get_eager_model()), example.get_example_inputs())


MODELS: tuple[Model, ...] = (
    Model("lstm", "torch.nn.LSTM", "recurrent", _lstm),
    Model("gru", "torch.nn.GRU", "recurrent", _gru),
    Model(
        "lstm_quantizable",
        "torch.ao.nn.quantizable.LSTM",
        "recurrent",
        _executorch_lstm,
        # Its ten features make no group of 32 for int4, no block of codes.
        recipes=tuple(name for name in RECIPES if "int4" not in name and "codebook" not in name),
    ),
)
