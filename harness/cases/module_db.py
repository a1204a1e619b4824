"""PyTorch's table of its own modules, `torch.testing._internal.common_modules.module_db`: a variant made real.

A variant is what the module is constructed with and what it is called on.
"""

from __future__ import annotations

import functools
import warnings
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.cases.case import Built, CaseFault
from harness.cases.opinfo import on_fp16_grid

if TYPE_CHECKING:
    import torch

#: The state of torch's generator that variants are drawn from.
STATE = 0


@functools.cache
def entries() -> Mapping[str, Any]:
    """`ModuleInfo` by the module's public name, such as `torch.nn.Conv2d`, in the table's order."""
    from torch.testing._internal.common_modules import module_db

    return {f"torch.{info.name}": info for info in module_db}


@functools.lru_cache(maxsize=2)
def variants(name: str, state: int = STATE) -> tuple[Any, ...]:
    """The `ModuleInput`s of a module in eval mode, drawn from this random state."""
    import torch

    info = entries()[name]
    torch.manual_seed(state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(
            info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=False)
        )


def construct(name: str, variant: Any, label: str) -> Built:
    """The module in eval mode and what it is called on, its weights seeded by its name and this label.

    Weights and inputs are on the fp16 grid. Raises what the constructor raises.
    """
    import torch

    seed = zlib.crc32(f"{name} {label}".encode())
    torch.manual_seed(seed)
    given, called = variant.constructor_input, variant.forward_input
    inputs, kwargs = _on_grid(called.args), _on_grid(called.kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = entries()[name].module_cls(*_copied(given.args), **_copied(given.kwargs)).to(torch.float32)
        if entries()[name].is_lazy:
            with torch.no_grad():
                module(*_copied(inputs), **_copied(kwargs))
    _settle(module)
    return Built(module.eval(), inputs, seed, kwargs=kwargs, source=_source(name, variant))


def run(name: str, variant: Any, label: str) -> Built:
    """As `construct`, called once. Raises `CaseFault` where that is no program of tensors, or hangs on chance."""
    import torch
    from torch.utils._pytree import tree_leaves

    try:
        built = construct(name, variant, label)
        if not any(isinstance(leaf, torch.Tensor) for leaf in built.leaves):
            raise CaseFault("it is called on no tensor")
        results = []
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for state in (1, 2):
                torch.manual_seed(state)
                result = built.module(*_copied(built.inputs), **_copied(built.kwargs))
                results.append([leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)])
    except CaseFault:
        raise
    except Exception as error:
        raise CaseFault(f"eager PyTorch refuses it: {type(error).__name__}") from None
    if not results[0]:
        raise CaseFault("it gives no tensor")
    if not all(torch.equal(one.nan_to_num(), other.nan_to_num()) for one, other in zip(*results, strict=True)):
        raise CaseFault("it draws random values")
    return built


def _settle(module: torch.nn.Module) -> None:
    """Every weight and statistic on the fp16 grid; those that are all ones or zeros, as an affine transformation or a
    normalisation begins with, drawn instead: they would say nothing of where they are used."""
    import torch

    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if not tensor.is_floating_point():
                continue
            if tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
                around_one = bool(tensor.flatten()[0] == 1) or name.endswith("running_var")
                tensor.uniform_(0.5, 1.5) if around_one else tensor.uniform_(-0.5, 0.5)
            tensor.copy_(on_fp16_grid(tensor))


def _on_grid(arguments: Any) -> Any:
    import torch
    from torch.utils._pytree import tree_map_only

    return tree_map_only(torch.Tensor, lambda t: on_fp16_grid(t.detach()), arguments)


def _copied(arguments: Any) -> Any:
    """Modules and tensors among the arguments are not shared by the variants."""
    import copy

    return copy.deepcopy(arguments)


def _source(name: str, variant: Any) -> str:
    """Python that makes the module as `model`, its weights aside; empty where its arguments are more than Python's own
    values, or where it is called by keywords or on more than tensors."""
    import torch

    given, called = variant.constructor_input, variant.forward_input
    if called.kwargs or not all(isinstance(value, torch.Tensor) for value in called.args):
        return ""
    if not all(map(_is_plain, (*given.args, *given.kwargs.values()))):
        return ""
    parts = [*map(repr, given.args), *(f"{key}={value!r}" for key, value in given.kwargs.items())]
    return f"model = {name}({', '.join(parts)})\n"


def _is_plain(value: Any) -> bool:
    import torch

    if isinstance(value, (list, tuple)):
        return type(value) in (list, tuple) and all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, torch.dtype))
