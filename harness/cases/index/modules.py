"""The index of PyTorch's own modules: the variants of each in `module_db`, and which ones are worth running.

Collecting checks must make no tensors, and a case's id says what its module is constructed with and called on, which
only making the variants tells. So it is kept as a table, one line a module. `coreml-harness index modules` writes it
anew; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cases import module_db
from harness.cases.case import CaseFault
from harness.cases.index.opinfo import choose_varied, plainest
from harness.cases.index.sample_text import DIGITS, digest_of, labelled, telling_length
from harness.evidence.ids import part_of_id
from harness.evidence.made_with import first_line, read_lines

#: Variants of a module that run at level `standard`: of losses, which models seldom contain, and of modules that are
#: lowered for seconds fewer, of those made of layers that stand there themselves none.
STANDARD, OF_LOSSES = 3, 2
FEW = {
    "torch.nn.GRU": 1,
    "torch.nn.InstanceNorm1d": 2,
    "torch.nn.InstanceNorm3d": 2,
    "torch.nn.LSTM": 1,
    "torch.nn.LazyConv1d": 1,
    "torch.nn.LazyConv2d": 1,
    "torch.nn.LazyConv3d": 1,
    "torch.nn.LazyConvTranspose1d": 1,
    "torch.nn.LazyConvTranspose2d": 1,
    "torch.nn.LazyConvTranspose3d": 1,
    "torch.nn.MultiLabelMarginLoss": 1,
    "torch.nn.MultiLabelSoftMarginLoss": 1,
    "torch.nn.RNN": 1,
    "torch.nn.Transformer": 0,
    "torch.nn.TransformerDecoderLayer": 1,
    "torch.nn.TransformerEncoder": 0,
    "torch.nn.TransformerEncoderLayer": 2,
}
#: Modules of which the plainest variant runs at level `smoke` as well, one of each kind.
SMOKE = (
    "torch.nn.BatchNorm2d",
    "torch.nn.Conv2d",
    "torch.nn.ConvTranspose2d",
    "torch.nn.Embedding",
    "torch.nn.GELU",
    "torch.nn.LayerNorm",
    "torch.nn.Linear",
    "torch.nn.LSTMCell",
    "torch.nn.MaxPool2d",
    "torch.nn.MSELoss",
    "torch.nn.MultiheadAttention",
    "torch.nn.Softmax",
)
#: Characters of a label; of what would be longer it is a digest.
LONGEST = 120
#: Arguments of constructors that say where and in what dtype, alike in all variants.
_EVERYWHERE = ("device", "dtype")


@dataclass(frozen=True)
class Entry:
    """A module, `name` being its public one.

    For each variant, in the table's order, `labels` says it, and `without` why it has no case, by the label, where it
    has none. `standard` are the places of those chosen for variety, `smoke` that of the plainest, in few modules.
    """

    name: str
    labels: tuple[str, ...]
    standard: tuple[int, ...]
    smoke: int | None = None
    without: dict[str, str] = field(default_factory=dict)

    def to_line(self) -> str:
        data = {
            "module": self.name,
            "variants": list(self.labels),
            "standard": [self.labels[number] for number in self.standard],
            "smoke": None if self.smoke is None else self.labels[self.smoke],
            "without": self.without,
        }
        return json.dumps({key: value for key, value in data.items() if value not in (None, [], {})})

    @classmethod
    def from_line(cls, line: str) -> Entry:
        data = json.loads(line)
        labels = tuple(data.get("variants", ()))
        return cls(
            data["module"],
            labels,
            tuple(labels.index(label) for label in data.get("standard", ())),
            labels.index(data["smoke"]) if "smoke" in data else None,
            data.get("without", {}),
        )


#: The table; its first line has the version of torch it was made with.
PATH = Path(__file__).parents[1].joinpath("modules.jsonl")


def read_index(torch_version: str) -> list[Entry]:
    """Raises `HarnessError` when the index is of another torch (a local part, `+cpu`, makes no difference)."""
    lines = read_lines(PATH, {"torch": torch_version}, "index of PyTorch's modules")
    return [Entry.from_line(line) for line in lines]


def to_text(entries: Iterable[Entry], torch_version: str) -> str:
    return first_line({"torch": torch_version}) + "".join(f"{entry.to_line()}\n" for entry in entries)


def make_index(show: Callable[[str], None] = lambda _progress: None) -> list[Entry]:
    """Make and call every variant of every module."""
    found = []
    for number, name in enumerate(module_db.entries(), start=1):
        found.append(entry_of(name))
        show(f"{number} of {len(module_db.entries())} modules")
    return found


def entry_of(name: str) -> Entry:
    """The line of a module."""
    variants = module_db.variants(name)
    labels = labels_of(variants)
    without = {}
    for label, variant in zip(labels, variants, strict=True):
        try:
            module_db.run(name, variant, label)
        except CaseFault as fault:
            without[label] = str(fault)
    fit = [number for number, label in enumerate(labels) if label not in without]
    if not fit:
        return Entry(name, labels, (), None, without)
    features = [features_of(variants[number]) for number in fit]
    plain = plainest(features)
    assert plain is not None
    wanted = FEW.get(name, OF_LOSSES if name.endswith("Loss") else STANDARD)
    chosen = choose_varied(features, wanted, [plain]) if wanted else []
    smoke = fit[plain] if name in SMOKE else None
    return Entry(name, labels, tuple(fit[number] for number in chosen), smoke, without)


def labels_of(variants: Iterable[Any]) -> tuple[str, ...]:
    """What tells the variants of a module apart: `4,5,3,padding='same'-2x4x3`."""
    texts = list(map(label_text, variants))
    digests = [digest_of(text) for text in texts]
    short = [
        text if len(text) <= LONGEST else digest[: telling_length(digest, digests)]
        for text, digest in zip(texts, digests, strict=True)
    ]
    return tuple(labelled(short, len))


def label_text(variant: Any) -> str:
    """The arguments of the constructor, then those of the call, tensors by their shapes."""
    given, called = variant.constructor_input, variant.forward_input
    return f"{_arguments(given.args, given.kwargs)}-{_arguments(called.args, called.kwargs)}".strip("-")


def call_text(name: str, variant: Any) -> str:
    """As a reader is shown it: `Conv2d(4,5,3,padding=same)(2x4x3x4)`."""
    given, called = variant.constructor_input, variant.forward_input
    made = f"{name.rpartition('.')[2]}({_arguments(given.args, given.kwargs)})"
    return f"{made}({_arguments(called.args, called.kwargs)})"


def _arguments(args: Iterable[Any], kwargs: dict[str, Any]) -> str:
    named = [f"{key}={_value(value)}" for key, value in kwargs.items() if key not in _EVERYWHERE and value is not None]
    return ",".join([*map(_value, args), *named])


def _value(value: Any) -> str:
    """An argument in a label: without a space, and without what an id may not hold."""
    import torch

    if isinstance(value, torch.Tensor):
        kind = "" if value.dtype is torch.float32 else f"{str(value.dtype).removeprefix('torch.')}:"
        strided = "" if value.is_contiguous() else "-strided"
        return f"{kind}{'x'.join(map(str, value.shape)) or 'scalar'}{strided}"
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return f"({','.join(map(_value, value))})"
    if isinstance(value, torch.nn.Module):
        return f"{type(value).__name__}-{digest_of(repr(value))[:DIGITS]}"
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return part_of_id(str(value).replace(" ", ""))


def features_of(variant: Any) -> frozenset[str]:
    """What distinguishes a variant: each argument of the constructor, ranks and dtypes of what it is called on."""
    import torch
    from torch.utils._pytree import tree_leaves

    given, called = variant.constructor_input, variant.forward_input
    found = {f"arg{number}:{_value(value)}" for number, value in enumerate(given.args)}
    found |= {f"{key}:{_value(value)}" for key, value in given.kwargs.items()}
    tensors = [leaf for leaf in tree_leaves((called.args, called.kwargs)) if isinstance(leaf, torch.Tensor)]
    found |= {f"tensor{number}:{t.dtype}:rank{t.dim()}" for number, t in enumerate(tensors[:3])}
    found |= {f"called:{key}" for key, value in called.kwargs.items() if value is not None}
    found |= {"strided"} if any(not t.is_contiguous() for t in tensors) else set()
    return frozenset(found | ({"plain"} if tensors and all(t.numel() > 1 for t in tensors) else set()))


def index_text(show: Callable[[str], None]) -> str:
    """The table as the installed torch gives it."""
    import torch

    return to_text(make_index(show), torch.__version__)
