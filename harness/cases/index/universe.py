"""The operator universe of the installed packages; what its rows are is said in `harness.evidence.universe`.

Asking the packages takes some ten seconds, so it is worked out once and kept as a table.
`coreml-harness index universe` writes it anew; a test compares.
"""

from __future__ import annotations

import importlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from harness.evidence.names import OpName
from harness.evidence.universe import LEFT_OUT, SOURCES, Operator, Universe, installed_versions
from harness.evidence.vocabulary import HarnessError

#: Imported for the operators and converters that they register.
REGISTERING = (
    "executorch.backends.apple.coreml.partition.coreml_partitioner",
    "executorch.backends.apple.coreml.compiler.torch_ops",
    "executorch.exir.passes._quant_patterns_and_replacements",
    "torch.ao.quantization.fx._decomposed",
    "torchao.quantization",
    "torchao.prototype.quantization.codebook_coreml",
)
#: Namespaces whose operators are rows whether they are claimed or not.
NAMESPACES = ("quantized_decomposed", "torchao", "quant", "dim_order_ops")
#: PyTorch's tags that tell how an operator can be tried.
TAGS = (
    "data_dependent_output",
    "dynamic_output_shape",
    "inplace_view",
    "nondeterministic_seeded",
    "pointwise",
    "reduction",
    "view_copy",
)


def make_universe() -> Universe:
    """Ask the installed packages. Raises `HarnessError` when they do not go together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in REGISTERING:
            try:
                importlib.import_module(module)
            except ImportError as error:
                here = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
                raise HarnessError(f"{module} cannot be imported with {here}: {error}") from error
    claims = _Claims()
    operators, beside, left_out = {}, {}, Counter(dict.fromkeys(LEFT_OUT, 0))
    dispatched = set(_dispatched(("aten", *NAMESPACES)))
    for name in sorted(dispatched):
        overload = _overload(name)
        sources = _sources(overload, claims)
        kind = _kind(overload)
        if kind and "core" not in sources:
            left_out[kind] += claims.source(_functional_name(overload)) is not None
        elif sources:
            operators[str(overload)] = Operator(str(overload), sources, str(overload._schema), _tags(overload))
        elif name.startswith("aten::") and not name.startswith("aten::_"):
            beside[str(overload)] = str(overload._schema)
    left_out["TorchScript"] = sum(claims.source(name) is not None for name in _torchscript_only(dispatched))
    ordered = dict(sorted(operators.items()))
    without = tuple(claims.without(_all_names()))
    return Universe(installed_versions(), ordered, dict(left_out), without, dict(sorted(beside.items())))


class _Claims:
    """coremltools' torch registry, with ExecuTorch's additions, asked as the partitioner asks it."""

    def __init__(self) -> None:
        from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY
        from coremltools.converters.mil.frontend.torch.utils import sanitize_op_kind

        self.canonical = sanitize_op_kind
        self.converters = _TORCH_OPS_REGISTRY.name_to_func_mapping

    def source(self, name: str) -> str | None:
        """The package whose converter a node of this operator gets; None when the partitioner does not claim it."""
        converter = self.converters.get(self.canonical(name))
        if converter is None:
            return None
        return "executorch" if converter.__module__.startswith("executorch.") else "coremltools"

    def without(self, names: Iterator[str]) -> list[str]:
        """Names of the registry that no operator has; with `::` they are for TorchScript's spelling."""
        return sorted(set(self.converters) - {self.canonical(name) for name in names})


def _dispatched(namespaces: tuple[str, ...]) -> Iterator[str]:
    """Qualified names (`aten::add.Tensor`) that PyTorch's dispatcher knows."""
    import torch

    for name in torch._C._dispatch_get_all_op_names():
        if name.split("::")[0] in namespaces and _is_portable(name):
            yield name


def _is_portable(name: str) -> bool:
    """False for a kernel of torchao for one kind of device: its operands are packed as that device wants them."""
    import torch

    return not name.startswith("torchao::") or any(
        torch._C._dispatch_has_kernel_for_dispatch_key(name, key)
        for key in ("CompositeExplicitAutograd", "CompositeImplicitAutograd")
    )


def _overload(name: str) -> Any:
    import torch

    namespace, _, rest = name.partition("::")
    packet, _, overload = rest.partition(".")
    return getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")


def _sources(overload: Any, claims: _Claims) -> tuple[str, ...]:
    import torch

    found = {claims.source(str(overload)), overload.namespace if overload.namespace in NAMESPACES else None}
    if torch.Tag.core in overload.tags:
        found.add("core")
    return tuple(source for source in SOURCES if source in found)


def _kind(overload: Any) -> str:
    """`in-place`, `out`, or empty for a functional overload."""
    if any(argument.is_out for argument in overload._schema.arguments):
        return "out"
    return "in-place" if overload._schema.is_mutable else ""


def _functional_name(overload: Any) -> str:
    """The name of what an in-place or out overload does: `aten.add` for `aten.add_.Tensor` and `aten.add.out`."""
    return str(OpName.parse(str(overload)).functional)


def _torchscript_only(dispatched: set[str]) -> Iterator[str]:
    """ATen overloads that only TorchScript knows, spelled as graphs spell operators."""
    import torch

    for schema in torch._C._jit_get_all_schemas():
        name = f"{schema.name}.{schema.overload_name}" if schema.overload_name else schema.name
        if name.startswith("aten::") and name not in dispatched:
            yield f"{schema.name.replace('::', '.')}.{schema.overload_name or 'default'}"


def _all_names() -> Iterator[str]:
    """Every operator the installed packages have, spelled as graphs spell it."""
    import torch

    for name in torch._C._dispatch_get_all_op_names():
        dotted = name.replace("::", ".")
        yield dotted if dotted.count(".") > 1 else f"{dotted}.default"


def _tags(overload: Any) -> tuple[str, ...]:
    import torch

    found = {tag.name for tag in overload.tags} & set(TAGS)
    schema = overload._schema
    if schema.is_mutable:
        found.add("mutable")
    elif any(result.alias_info is not None for result in schema.returns):
        found.add("view")
    if torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), "CompositeImplicitAutograd"):
        found.add("composite")
    return tuple(sorted(found))


def index_text(show: Callable[[str], None]) -> str:
    """The table as the installed packages give it. Raises `HarnessError` when they do not go together."""
    return make_universe().to_text()
