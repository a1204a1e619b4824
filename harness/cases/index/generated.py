"""The index of generated cases: which variants of which calls eager PyTorch takes, and at which level they run.

1. Seed calls, one an overload: `harvested-seeds.txt`, harvested from the calls that OpInfo's samples come down to
   (`harvest`), and `seeds.txt`, written by hand for what OpInfo does not reach or reaches only by odd calls.
2. Each is varied along the axes; what eager refuses is left out.
3. `standard` takes a few variants of each operator, one of every axis in turn, and of every argument a variant in which
   it matters: one whose result differs from that of the call without it. `full` takes all.

The table holds the seed call and the labels of its variants, a line for each overload and dtype; the calls of the
variants follow from both. `coreml-harness index generated` writes it anew (some minutes); a test compares a part of it.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import importlib
import itertools
import json
import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.cases.alternatives import DIMENSIONS
from harness.cases.axes import Parameter, Signature, variants
from harness.cases.calls import Call, parse, read_calls
from harness.cases.index.universe import REGISTERING
from harness.evidence.made_with import first_line, read_lines
from harness.evidence.names import OpName

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import torch

#: Variants of one operator that run at level `standard`, besides its seed call and what every argument is owed.
STANDARD_VARIANTS = 6
#: In what order `standard` takes them: the n-th of an axis in its turn. Options are counted by parameter.
TURNS: tuple[tuple[str, int], ...] = (
    ("options", 0),
    ("values", 0),
    ("dtypes", 0),
    ("options", 1),
    ("geometry", 0),
    ("broadcasts", 0),
    ("constants", 0),
    ("options", 2),
    ("ranks", 0),
    ("scalars", 0),
    ("layouts", 0),
    ("options", 3),
    ("values", 1),
    ("batches", 0),
    ("empties", 0),
)
#: Which of an axis come first, where the order of the axis itself is not the one wanted. Other axes begin at a place
#: that depends on the operator's name, so that all of their variants are met somewhere at `standard`.
FIRST: dict[str, tuple[str, ...]] = {
    "values": ("values-quadrants", "values-ladder", "values-special", "values-int15"),
    "dtypes": ("int32", "int64", "bool", "float16"),
    "constants": ("constants", "tensor1-constant"),
}
#: Variants that eager takes although they mean nothing: operator, label, why. They are left out.
MEANINGLESS: tuple[tuple[str, str, str], ...] = (
    ("aten._weight_norm.default", "rank*", "the norm's shape must be the weight's with all dims but one of size 1"),
    ("aten._weight_norm_interface.default", "dim=1", "the norm has the shape of dim 0"),
    ("dim_order_ops.*", "rank*", "dim_order must name every dim"),
    ("quant.dequantize_codebook.default", "block_size=-1x-1", "one block, a codebook of two"),
    ("torchao.*", "quant_min=True", "a bound of a range of integers"),
)
#: Of the seed call itself.
SEED_LABEL = "call"
LEVELS = ("standard", "full")
#: Seed calls written by hand.
SEEDS = Path(__file__).parents[1].joinpath("seeds.txt")
_LARGEST = 50_000
#: Operators whose values are whatever memory holds, by how their names begin.
UNINITIALISED = ("empty", "new_empty", "resize_")


class Variant(NamedTuple):
    """A case of the index: operator, dtype, the axis it comes from, level and label, and the operator's seed call.

    A tuple, because thousands are read to list the cases.
    """

    op: str
    dtype: str
    axis: str
    level: str
    label: str
    seed: str


#: The table; its first line has the version of torch it was made with, as that of the harvested seeds.
PATH = Path(__file__).parents[1].joinpath("generated.jsonl")
HARVEST_PATH = Path(__file__).parents[1].joinpath("harvested-seeds.txt")


def to_text(variants: Iterable[Variant], torch_version: str) -> str:
    """A line for each overload and dtype: the seed call in the overload's first, then labels by level and axis."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    seen: set[str] = set()
    for variant in variants:
        key = variant.op, variant.dtype
        if key not in lines:
            seed = {} if variant.op in seen else {"seed": variant.seed}
            lines[key] = {"op": variant.op, "dtype": variant.dtype, **seed}
            seen.add(variant.op)
        lines[key].setdefault(variant.level, {}).setdefault(variant.axis, []).append(variant.label)
    rows = (json.dumps(line, ensure_ascii=False) for line in lines.values())
    return first_line({"torch": torch_version}) + "".join(f"{row}\n" for row in rows)


def read_index(torch_version: str) -> list[Variant]:
    """Raises `HarnessError` when the index is of another torch (a local part, `+cpu`, makes no difference)."""
    lines = read_lines(PATH, {"torch": torch_version}, "index of generated cases")
    found = []
    seed = ""
    # As one value: hundreds of small ones take twice the time.
    for row in json.loads(f"[{','.join(lines)}]"):
        op, dtype, seed = row["op"], row["dtype"], row.get("seed", seed)
        for level in LEVELS:
            for axis, labels in row.get(level, {}).items():
                found += [Variant(op, dtype, axis, level, label, seed) for label in labels]
    return found


def index_of(seed: Call) -> list[Variant]:
    """The seed call and those variants of it that eager takes, each with its level."""
    found = [("seed", SEED_LABEL, seed)]
    if not is_random(seed.op):
        found += [row for row in variants(seed, signature_of(seed.op)) if not is_meaningless(seed.op, row[1])]
    results = results_of([call for _, _, call in found])
    if not results[0]:
        return []
    taken = [(row, result) for row, result in zip(found, results, strict=True) if result]
    rows = [(axis, label) for (axis, label, _), _ in taken]
    told = arguments_that_matter(rows, [result for _, result in taken])
    chosen = chosen_for_standard(seed.op, rows, told)
    return [
        Variant(seed.op, call.dtype, axis, "standard" if label in chosen else "full", label, str(seed))
        for (axis, label, call), _ in taken
    ]


@functools.lru_cache(maxsize=4)
def calls_of(seed: str) -> Mapping[str, Call]:
    """The calls that a seed call gives along the axes, by label, its own among them."""
    call = parse(seed)
    return {SEED_LABEL: call} | {label: variant for _, label, variant in variants(call, signature_of(call.op))}


def is_meaningless(op: str, label: str) -> bool:
    """True for a row of `MEANINGLESS`."""
    return any(fnmatch.fnmatchcase(op, ops) and fnmatch.fnmatchcase(label, labels) for ops, labels, _ in MEANINGLESS)


def arguments_that_matter(found: Sequence[tuple[str, str]], results: Sequence[str]) -> dict[str, set[str]]:
    """By label of an option or a pair of options: the arguments without which eager's result would be another.

    A variant of an argument that changes nothing (`ceil_mode` where the sizes divide) cannot tell whether a converter
    reads it. `found` are the `(axis, label)` eager takes, the seed call first; `results` is what it makes of each.

    >>> found = [("seed", "call"), ("options", "a=1"), ("options", "b=1"), ("option_pairs", "a=1,b=1")]
    >>> {label: sorted(names) for label, names in arguments_that_matter(found, ["r", "r", "s", "t"]).items()}
    {'b=1': ['b'], 'a=1,b=1': ['a', 'b']}
    """
    result_of_label = {label: result for (_, label), result in zip(found, results, strict=True)}
    matters: dict[str, set[str]] = {}
    for (axis, label), result in zip(found, results, strict=True):
        if axis not in ("options", "option_pairs"):
            continue
        parts = label.split(",")
        for part in parts:
            others = ",".join(p for p in parts if p != part)
            without = result_of_label.get(others) if others else results[0]
            if without is not None and result != without:
                matters.setdefault(label, set()).add(part.partition("=")[0])
    return matters


def chosen_for_standard(op: str, found: Sequence[tuple[str, str]], matters: Mapping[str, set[str]]) -> set[str]:
    """Labels of the variants for `standard` among `(axis, label)`: the seed, by turns, and of every argument one.

    `matters` is what `arguments_that_matter` says of the labels.

    >>> found = [("seed", "call"), ("options", "dim=0"), ("options", "dim=1"), ("options", "keepdim=True")]
    >>> sorted(chosen_for_standard("aten.sum.dim_IntList", found, {"dim=1": {"dim"}, "keepdim=True": {"keepdim"}}))
    ['call', 'dim=1', 'keepdim=True']
    """
    queues: dict[str, list[str]] = {}
    by_argument: dict[str, list[str]] = {}
    for axis, label in found:
        if axis == "options":
            by_argument.setdefault(label.partition("=")[0], []).append(label)
        elif axis != "option_pairs":
            queues.setdefault(axis, []).append(label)
    for argument, labels in by_argument.items():
        labels.sort(key=lambda label, name=argument: (name not in matters.get(label, ()), not _uneven(label)))  # type: ignore[misc]
    queues["options"] = [labels[0] for labels in by_argument.values()]
    for axis, labels in queues.items():
        if axis in FIRST:
            labels.sort(key=lambda label, row=FIRST[axis]: row.index(label) if label in row else len(row))  # type: ignore[misc]
        elif axis not in ("options", "seed"):
            start = zlib.crc32(op.encode()) % len(labels)
            labels[:] = labels[start:] + labels[:start]
    turns = [queues[axis][place] for axis, place in TURNS if place < len(queues.get(axis, ()))]
    chosen = {*queues.get("seed", ()), *turns[:STANDARD_VARIANTS]}
    in_order = [*itertools.chain(*by_argument.values()), *(label for axis, label in found if axis == "option_pairs")]
    for argument in sorted(set().union(*matters.values())):
        telling = [label for label in in_order if argument in matters.get(label, ())]
        if not chosen.intersection(telling):
            chosen.add(telling[0])
    return chosen


def _uneven(label: str) -> bool:
    """True for a list of several sizes, not all alike: it tells one dimension from another.

    >>> _uneven("stride=1x2"), _uneven("stride=2x2"), _uneven("dim=0x1")
    (True, False, False)
    """
    name, _, value = label.partition("=")
    sizes = value.split("x")
    return name not in DIMENSIONS and len(set(sizes)) > 1 and all(size.isdigit() for size in sizes)


def results_of(calls: Sequence[Call], asked: Callable[[Call], str] | None = None) -> list[str]:
    """`result_of` each call (or `asked`), in another process: some arguments end it, which is a refusal too.

    A call that ends it is asked again in a new one: it may have been an earlier call that wrote where it should not."""
    global _process
    answers: list[str] = []
    ended = -1
    while len(answers) < len(calls):
        if _process is None:
            # Spawned, not forked: a fork of a process whose threads hold locks may wait for them for ever.
            import multiprocessing  # takes as long as reading the index, which is what listing cases needs

            context = multiprocessing.get_context("spawn")
            _process, there = context.Pipe()
            context.Process(target=_answer, args=(there,), daemon=True).start()
            there.close()
        try:
            _process.send((asked or result_of, calls[len(answers)]))
            answers.append(_process.recv())
        except (EOFError, OSError):
            _process = None
            if ended == len(answers):
                answers.append("")
            else:
                ended = len(answers)
    return answers


#: To the process that answers, once there is one.
_process: Connection | None = None


def _answer(questions: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # what PyTorch prints as it dies
    while True:
        try:
            asked, call = questions.recv()
        except EOFError:
            return
        questions.send(asked(call))


def result_of(call: Call) -> str:
    """What eager PyTorch makes of the call, as a digest; empty when it refuses, or gives no tensors or huge ones."""
    import torch
    from torch.utils import _pytree as pytree

    from harness.cases.generated import build, module_and_inputs

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            built = build(str(call))  # what the case will draw must be taken too
            built.module(*built.inputs)
            # Drawn alike for all variants, so that a different result is the argument's doing.
            module, inputs = module_and_inputs(call, seed=0)
            results = pytree.tree_leaves(module(*inputs))
    except Exception:
        return ""
    tensors = [r for r in results if isinstance(r, torch.Tensor)]
    if not tensors or sum(t.numel() for t in (*tensors, *inputs)) > _LARGEST:
        return ""
    return _digest(tensors, values=not OpName.parse(call.op).packet.startswith(UNINITIALISED))


def _digest(tensors: Sequence[torch.Tensor], values: bool) -> str:
    """Of shapes and dtypes, and of the values unless they are not told."""
    import torch

    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tuple(tensor.shape)} {tensor.dtype};".encode())
        if values:
            plain = tensor.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
            found.update(bytes(plain.reshape(-1).view(torch.uint8).numpy()))
    return found.hexdigest()


def signature_of(op: str) -> Signature:
    """The schema of an overload, `aten.add.Tensor`. Raises AttributeError when torch has no such overload."""
    return tuple(
        Parameter(
            argument.name,
            kind_of(str(argument.real_type)),
            argument.has_default_value(),
            argument.default_value if argument.has_default_value() else None,
            argument.kwarg_only,
        )
        for argument in overload(op)._schema.arguments
    )


def kind_of(type_name: str) -> str:
    """A schema's type in the words of native_functions.yaml.

    >>> kind_of("Optional[List[int]]"), kind_of("List[Optional[Tensor]]"), kind_of("Optional[ScalarType]")
    ('int[]?', 'Tensor?[]', 'ScalarType?')
    """
    for word, sign in (("Optional[", "?"), ("List[", "[]")):
        if type_name.startswith(word):
            return kind_of(type_name.removeprefix(word).removesuffix("]")) + sign
    return type_name


def overload(op: str) -> Any:
    """`torch.ops.aten.add.Tensor` for `aten.add.Tensor`; packages that register others are imported. AttributeError."""
    import torch

    if not op.startswith("aten."):
        for module in REGISTERING:
            importlib.import_module(module)
    found: Any = torch.ops
    for part in op.split("."):
        found = getattr(found, part)
    return found


def is_random(op: str) -> bool:
    import torch

    return torch.Tag.nondeterministic_seeded in overload(op).tags


def seed_calls(torch_version: str) -> dict[str, Call]:
    """By operator; what is written by hand goes before what was harvested. Raises `HarnessError` as `read_index`."""
    harvested = "\n".join(read_lines(HARVEST_PATH, {"torch": torch_version}, "harvested seed calls"))
    texts = [harvested, SEEDS.read_text(encoding="utf-8")]
    return {call.op: call for text in texts for call in read_calls(text)}


def index_text(show: Callable[[str], None]) -> str:
    """The table as the installed torch gives it."""
    import torch

    seeds = seed_calls(torch.__version__)
    found: list[Variant] = []
    for number, op in enumerate(sorted(seeds), start=1):
        found += index_of(seeds[op])
        show(f"{number} of {len(seeds)} operators, {len(found)} cases")
    return to_text(found, torch.__version__)
