"""The index of PyTorch's OpInfo samples: which sample calls which ATen overload, and which ones are worth running.

Collecting thousands of checks must make no tensors, and a case's id names the overload its sample calls; both need
what only running the samples tells. So it is worked out once for a torch version and kept as a table, one line an
entry. `coreml-harness index opinfo` writes it anew; a test compares.
"""

from __future__ import annotations

import functools
import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.cases.index.sample_text import DIGITS, digest_of, id_texts, labelled, samples_of, telling_length
from harness.evidence.made_with import first_line, read_lines

#: Samples of one entry and dtype that run at level `standard`. Entries run in several dtypes get fewer of each.
STANDARD_SAMPLES = 2
STANDARD_SAMPLES_OWN_DTYPES = 1


@dataclass(frozen=True)
class Entry:
    """One OpInfo entry in one dtype.

    For each sample, in OpInfo's order, `overloads` names the ATen overload it is about, and `labels` the sample itself,
    by the digest of its call. `standard` are the places of the samples chosen for variety of arguments, `smoke` is that
    of the plainest of these. `constants` is the sample that is also run with all tensors but the first as constants of
    the program, as weights are. An entry without samples has `note` saying why.
    """

    name: str
    variant: str
    dtype: str
    overloads: tuple[str, ...]
    labels: tuple[str, ...]
    standard: tuple[int, ...]
    smoke: int | None
    constants: int | None = None
    note: str = ""

    @property
    def full_name(self) -> str:
        return full_name_of(self.name, self.variant)

    def to_line(self) -> str:
        runs: list[tuple[str, list[str]]] = []
        for overload, label in zip(self.overloads, self.labels, strict=True):
            if not (runs and runs[-1][0] == overload):
                runs.append((overload, []))
            runs[-1][1].append(label)
        data = {
            "entry": self.name,
            "variant": self.variant,
            "dtype": self.dtype,
            "samples": [[overload, " ".join(labels)] for overload, labels in runs],
            "standard": [self.labels[number] for number in self.standard],
            "smoke": None if self.smoke is None else self.labels[self.smoke],
            "constants": None if self.constants is None else self.labels[self.constants],
            "note": self.note,
        }
        return json.dumps({k: v for k, v in data.items() if v not in ("", None, [])})

    @classmethod
    def from_line(cls, line: str) -> Entry:
        data = json.loads(line)
        samples = [(overload, label) for overload, labels in data.get("samples", []) for label in labels.split(" ")]
        labels = tuple(label for _, label in samples)
        smoke, constants = data.get("smoke"), data.get("constants")
        return cls(
            data["entry"],
            data.get("variant", ""),
            data["dtype"],
            tuple(overload for overload, _ in samples),
            labels,
            tuple(labels.index(label) for label in data.get("standard", [])),
            None if smoke is None else labels.index(smoke),
            None if constants is None else labels.index(constants),
            data.get("note", ""),
        )


#: The table; its first line has the version of torch it was made with.
PATH = Path(__file__).parents[1].joinpath("opinfo.jsonl")


def read_index(torch_version: str) -> list[Entry]:
    """Raises `HarnessError` when the index is of another torch (a local part, `+cpu`, makes no difference)."""
    lines = read_lines(PATH, {"torch": torch_version}, "index of OpInfo samples")
    return [Entry.from_line(line) for line in lines]


def to_text(entries: Iterable[Entry], torch_version: str) -> str:
    return first_line({"torch": torch_version}) + "".join(f"{entry.to_line()}\n" for entry in entries)


def make_index(show: Callable[[str], None] = lambda _progress: None) -> list[Entry]:
    """Run the sample generators of every OpInfo entry (about 19,000 samples, some minutes)."""
    from torch.testing._internal.common_methods_invocations import op_db

    found: list[Entry] = []
    for number, op in enumerate(op_db, start=1):
        found += entries_of(op)
        show(f"{number} of {len(op_db)} entries")
    return shortened(found)


def entries_of(op: Any) -> Iterator[Entry]:
    """An OpInfo entry in each of its dtypes; labels are whole digests of the samples' texts."""
    dtypes = _dtypes_of(op)
    if not dtypes:
        note = "OpInfo lists no dtype for it on the CPU"
        yield Entry(op.name, op.variant_test_name, "none", (), (), (), None, note=note)
    wanted = STANDARD_SAMPLES if len(dtypes) == 1 else STANDARD_SAMPLES_OWN_DTYPES
    for dtype in dtypes:
        yield _entry(op, dtype, wanted)


def shortened(entries: Iterable[Entry]) -> list[Entry]:
    """Labels cut to what tells them apart, within their entry, and within their operator and dtype."""
    entries = list(entries)
    by_start: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        for overload, digest in zip(entry.overloads, entry.labels, strict=True):
            for place in (f"{entry.full_name} {entry.dtype}", f"{overload} {entry.dtype}"):
                by_start[f"{place} {digest[:DIGITS]}"].add(digest)

    def cut(entry: Entry) -> Entry:
        lengths: dict[str, int] = {}
        for overload, digest in zip(entry.overloads, entry.labels, strict=True):
            places = (f"{entry.full_name} {entry.dtype}", f"{overload} {entry.dtype}")
            others = set().union(*(by_start[f"{place} {digest[:DIGITS]}"] for place in places))
            lengths[digest] = max(lengths.get(digest, 0), telling_length(digest, others))
        return replace(entry, labels=tuple(labelled(entry.labels, lengths.__getitem__)))

    return [cut(entry) for entry in entries]


def _dtypes_of(op: Any) -> list[Any]:
    """float32, or every dtype of its own where float32 is not supported."""
    import torch

    if torch.float32 in op.dtypes:
        return [torch.float32]
    return sorted(op.dtypes, key=str)


def _entry(op: Any, dtype: Any, wanted: int) -> Entry:
    overloads: list[str] = []
    features: list[frozenset[str]] = []
    note = ""
    try:
        for sample in samples_of(op, dtype):
            overload = primary_overload(op, sample)
            features.append(argument_features(sample, overload))
            overloads.append(overload)
    except Exception as error:
        note = f"its sample generator raised {type(error).__name__}"
    name, full_name = str(dtype).removeprefix("torch."), full_name_of(op.name, op.variant_test_name)
    if not overloads:
        note = note or "OpInfo makes no sample for it on the CPU"
        return Entry(op.name, op.variant_test_name, name, (), (), (), None, note=note)
    texts = list(id_texts(full_name, functools.partial(samples_of, op, dtype)))
    plain = plainest_of_each(op.name, overloads, features)
    return Entry(
        op.name,
        op.variant_test_name,
        name,
        tuple(overloads),
        tuple(map(digest_of, texts)),
        tuple(choose_varied(features, wanted, plain)),
        plain[0],
        plainest(features, having="weights"),
        note,
    )


def full_name_of(name: str, variant: str) -> str:
    return f"{name}.{variant}" if variant else name


def packet_name(entry: str) -> str:
    """`gelu` for `nn.functional.gelu`, `linalg_cross` for `linalg.cross`: the operator an entry is named after."""
    return entry.removeprefix("nn.functional.").replace(".", "_")


def plainest(features: list[frozenset[str]], having: str = "") -> int | None:
    """The sample with the fewest options among those with ordinary tensors: what most callers write.

    With `having`, only among samples with that feature; None when there is none.

    >>> plainest([frozenset({"empty"}), frozenset({"plain", "dilation"}), frozenset({"plain"})])
    2
    """
    numbers = [i for i, found in enumerate(features) if not having or having in found]
    return min(numbers, key=lambda i: ("plain" not in features[i], len(features[i]), i), default=None)


def plainest_of_each(entry: str, overloads: list[str], features: list[frozenset[str]]) -> list[int]:
    """The plainest sample of each overload: of the operator the entry is named after first, then by frequency."""

    def rank(overload: str) -> tuple[bool, int, int]:
        named = overload.split(".")[1] == packet_name(entry)
        return not named, -overloads.count(overload), overloads.index(overload)

    ranked = sorted(set(overloads), key=rank)
    found = []
    for name in ranked:
        numbers = [i for i, overload in enumerate(overloads) if overload == name]
        best = plainest([features[i] for i in numbers])
        assert best is not None
        found.append(numbers[best])
    return found


def choose_varied(features: list[frozenset[str]], wanted: int, first: list[int]) -> list[int]:
    """`first`, then greedily the sample with most features not seen yet; ties go to the earlier one.

    >>> choose_varied([frozenset("a"), frozenset("ab"), frozenset("c"), frozenset("a")], 2, first=[0])
    [0, 1]
    """
    chosen = first[:wanted]
    seen = {feature for number in chosen for feature in features[number]}
    while len(chosen) < min(wanted, len(features)):
        gains = [len(f - seen) for f in features]
        best = max(range(len(features)), key=lambda i: (gains[i], -i))
        if gains[best] == 0:
            break
        chosen.append(best)
        seen |= features[best]
    return sorted(chosen)


def argument_features(sample: Any, overload: str) -> frozenset[str]:
    """What distinguishes a sample: overload, ranks, empty tensors, dtypes, each option and its kind of value."""
    import torch
    from torch.utils import _pytree as pytree

    found = {f"overload:{overload}"}
    leaves = pytree.tree_leaves((sample.input, sample.args, sample.kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    for number, tensor in enumerate(tensors[:3]):
        found.add(f"tensor{number}:rank{tensor.dim()}")
        found.add(f"tensor{number}:{tensor.dtype}")
        if tensor.numel() == 0:
            found.add("empty")
        if tensor.layout is torch.strided and not tensor.is_contiguous():
            found.add("strided")
    found.add(f"tensors:{min(len(tensors), 4)}")
    for number, value in enumerate(sample.args):
        found.add(f"arg{number}:{_kind(value)}")
    for name, value in sample.kwargs.items():
        found.add(f"{name}:{_kind(value)}")
    if tensors and all(t.numel() > 1 for t in tensors):
        found.add("plain")
    if len(tensors) > 1 and all(t.is_floating_point() and t.numel() > 1 for t in tensors):
        found.add("weights")
    return frozenset(found)


def _kind(value: Any) -> str:
    import torch

    if isinstance(value, torch.Tensor):
        return "tensor"
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return repr(value)
    if isinstance(value, (int, float)):
        return f"{type(value).__name__}{'-' if value < 0 else '0' if value == 0 else '+'}"
    if isinstance(value, (list, tuple)):
        return f"sequence{len(value)}"
    return str(value)


def primary_overload(op: Any, sample: Any) -> str:
    """The ATen overload a sample is about.

    The sample is traced before dispatch, where composite operators (linear, conv2d) are still whole. The call named
    like the entry is it; otherwise the last one, which makes the result. `torch.<api>` when none is called.
    """
    calls = traced_calls(op, sample)
    if not calls:
        return f"torch.{op.name}"
    names = {op.aten_name, op.name.split(".")[-1], op.name.replace(".", "_")}
    for call in calls:
        if call.split(".")[1] in names:
            return call
    return calls[-1]


#: Calls that only prepare or hand on a value; a sample is about them only when it calls nothing else.
_PREPARING = ("aten.detach.default", "aten.clone.default", "aten.lift_fresh_copy.default", "aten.alias.default")


def traced_calls(op: Any, sample: Any) -> list[str]:
    """ATen overloads a sample calls, in order, before any decomposition; empty when it cannot be traced."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.utils import _pytree as pytree

    leaves, spec = pytree.tree_flatten((sample.input, sample.args, sample.kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]

    def call(*values: Any) -> Any:
        supply = iter(values)
        filled = [next(supply) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        first, args, kwargs = pytree.tree_unflatten(filled, spec)
        return op.op(first, *args, **kwargs)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = make_fx(call, pre_dispatch=True, tracing_mode="fake", _allow_non_fake_inputs=True)(*tensors).graph
        except Exception:
            try:
                graph = make_fx(call, pre_dispatch=True)(*tensors).graph
            except Exception:
                # Not traceable (data-dependent, non-tensor results): the plain name is the best there is.
                return [f"aten.{op.aten_name}.default"] if hasattr(torch.ops.aten, op.aten_name or "-") else []
    calls = [str(n.target) for n in graph.nodes if n.op == "call_function" and str(n.target).startswith("aten.")]
    return [c for c in calls if c not in _PREPARING] or calls


def index_text(show: Callable[[str], None]) -> str:
    """The table as the installed torch gives it."""
    import torch

    return to_text(make_index(show), torch.__version__)
