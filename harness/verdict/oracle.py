"""The truth: eager PyTorch on the case's inputs, in the case's dtype for shapes and dtypes, in float64 for values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_flatten_with_path, tree_map_only

from harness.cases.case import Arguments, argument_name
from harness.verdict.control_flow import in_plain_python, run_plainly

WIDE = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
    torch.complex32: torch.complex128,
}

#: Operators tagged `nondeterministic_seeded` that draw nothing unless dropout is asked for.
DRAWS_ONLY_WITH_DROPOUT = {
    "aten::_fused_sdp_choice",
    "aten::scaled_dot_product_attention",
    "aten::_scaled_dot_product_flash_attention",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_efficient_attention",
}
UNINITIALISED = {
    "empty",
    "empty_like",
    "empty_strided",
    "empty_permuted",
    "new_empty",
    "new_empty_strided",
    "resize",
    "resize_",
}
#: In place, of a tensor that holds something.
RESIZED = {"aten::resize_"}


class InvalidCase(Exception):
    """The case has no truth to compare with: eager fails, or its result is random. The message is the reason."""


@dataclass
class Truth:
    """What the right answer is.

    `outputs` are the tensors of the result in order, floating ones as float64 (complex128), integer and bool ones in
    their own dtype; a number among the results is a tensor of rank 0, and None is none. `reference` is the same from
    eager in the case's dtype, for shapes and dtypes. `exactness` is `float64`, or says what the truth is instead and
    why; then eager's own rounding belongs to the bound. `non_tensors` names results that are nothing of that.
    `inputs` and `kwargs` are those of the call, `before` the arguments of the calls before it. `literals` says that
    float64 is also what a program makes from nothing: it takes such tensors together with its own.
    """

    outputs: list[Tensor]
    reference: list[Tensor]
    exactness: str = "float64"
    non_tensors: list[str] = field(default_factory=list)
    module: torch.nn.Module | None = None
    inputs: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[Arguments, ...] = ()
    literals: bool = False
    cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def exact(self) -> bool:
        return self.exactness == "float64"

    def again(self, change: Callable[[Tensor], Tensor] | None = None) -> list[Tensor]:
        """The tensors of the result once more, from fresh copies, under whatever dispatch mode is active.

        `change` is applied to every floating tensor among inputs, parameters, buffers and plain attributes. Without
        it, and as long as no call writes into them, parameters are copied for the first time only: of large modules
        they take as long as the run.
        """
        if self.module is None:
            raise InvalidCase("this truth holds values only")
        wide = self.exact
        parameters = None if change else self.cache.setdefault("parameters", _Parameters())
        literals = wide and self.literals
        return _tensors(_run(self.module, self._calls, wide, change, literals, parameters))[0]

    def in_own_dtype(self, problem: str) -> Truth:
        """Eager's answer in the case's dtype as the truth, because float64 has the `problem`."""
        if "own" not in self.cache:
            dtype = str(self.reference[0].dtype).removeprefix("torch.")
            exactness = f"eager in the case's dtype ({dtype}): {problem}"
            self.cache["own"] = replace(
                self, outputs=[_widen(t) for t in self.reference], exactness=exactness, cache={}
            )
        return self.cache["own"]

    def in_precision(self, dtype: torch.dtype) -> list[Tensor] | None:
        """What eager itself gives when inputs, parameters and buffers are of `dtype`; None where it refuses."""
        if self.module is None:
            return None
        try:
            found = _tensors(_run(self.module, self._calls, wide=False, change=lambda t: t.to(dtype)))[0]
        except Exception:  # not every kernel exists in every precision
            return None
        return found if [t.shape for t in found] == [t.shape for t in self.outputs] else None

    @property
    def _calls(self) -> list[Arguments]:
        return [*self.before, Arguments(self.inputs, self.kwargs)]


def truth(
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    before: Sequence[Arguments] = (),
) -> Truth:
    """Eager's answer for `module(*inputs, **kwargs)`, called with each of `before` first. None of them is changed.
    Raises `InvalidCase` with the reason.

    The result is held to be random when it changes with the seed or with what uninitialised memory holds. Operators
    that reseed themselves are found by their ATen tag and reseeded at the call.
    """
    calls = [*before, Arguments(inputs, kwargs or {})]
    if any(isinstance(t, Tensor) and t.layout is not torch.strided for t in calls[-1].leaves):
        raise InvalidCase("an input is not a dense tensor")
    with _quiet_rng():
        first, drawn = _scrambled(module, calls, salt=0)
        for salt in range(1, 4 if drawn else 2):
            other, _ = _scrambled(module, calls, salt)
            if not _same(first, other):
                what = ", ".join(sorted(drawn)) or "a generator or state outside of PyTorch's operators"
                raise InvalidCase(f"eager is not deterministic: the result depends on {what}")
        reference, non_tensors = _tensors(first)
        leaves = tree_flatten(first)[0]
        if not any(isinstance(leaf, Tensor) for leaf in leaves):
            kinds = [f"result {i}: {type(leaf).__name__}" for i, leaf in enumerate(leaves) if leaf is not None]
            raise InvalidCase(f"no tensor among the results ({', '.join(kinds) or 'none at all'})")
        layouts = {str(t.layout).removeprefix("torch.") for t in reference} - {"strided"}
        if layouts:
            raise InvalidCase(f"a result is not a dense tensor ({', '.join(sorted(layouts))})")
        outputs, problem = _in_float64(module, calls, reference)
        if literals := bool(problem):  # a tensor made from nothing is float32, and many operators take one dtype alone
            outputs, still = _in_float64(module, calls, reference, literals)
            problem = problem and still
    found = Truth([], reference, "float64", non_tensors, module, inputs, kwargs or {}, tuple(before), literals)
    return found.in_own_dtype(problem) if problem else replace(found, outputs=[_widen(t) for t in outputs])


def _in_float64(
    module: torch.nn.Module, calls: Sequence[Arguments], reference: list[Tensor], literals: bool = False
) -> tuple[list[Tensor], str]:
    """Eager's answer in float64, and why it is none; empty where it is one."""
    try:
        with WidenFactories():
            outputs, _ = _tensors(_run(module, calls, wide=True, literals=literals))
    except Exception as error:  # float64 has fewer kernels than float32: any refusal means the same
        return [], _first_line(error)
    return outputs, _mismatch(outputs, reference)


@dataclass(frozen=True)
class Effects:
    """What a call changes besides giving its results: `inputs` names the tensors among its arguments that it writes
    to, `state` says whether anything the module holds is another afterwards."""

    inputs: tuple[str, ...] = ()
    state: bool = False


def effects(module: torch.nn.Module, arguments: Arguments) -> Effects:
    """What `module(*inputs, **kwargs)` changes; here it changes copies. Raises `InvalidCase` when eager fails."""
    runner = _copied(module, lambda t: t.detach().clone())
    inputs, kwargs = tree_map_only(Tensor, lambda t: t.detach().clone(), (arguments.inputs, dict(arguments.kwargs)))
    leaves: list[tuple[str, Tensor]] = [
        (argument_name(path), t) for path, t in tree_flatten_with_path((inputs, kwargs))[0] if isinstance(t, Tensor)
    ]
    versions = [t._version for _, t in leaves]
    held: dict[str, tuple[Tensor, int]] = {name: (t, t._version) for name, t in runner.named_buffers()}
    try:
        with torch.no_grad(), in_plain_python(), _quiet_rng():
            runner(*inputs, **kwargs)
    except Exception as error:
        raise InvalidCase(f"eager fails: {type(error).__name__}: {_first_line(error)}") from error
    written = tuple(name for (name, t), before in zip(leaves, versions, strict=True) if t._version != before)
    after = dict(runner.named_buffers())
    kept = all(version == t._version and after.get(name) is t for name, (t, version) in held.items())
    return Effects(written, not kept or len(after) != len(held))


def truth_of_buffers(
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    names: Sequence[str],
    kwargs: Mapping[str, Any] | None = None,
    before: Sequence[Arguments] = (),
) -> Truth:
    """What the buffers `names` (`cache.keys`) hold after one call of `module(*inputs, **kwargs)`, those `before` made
    first: an output each, in that order.

    What a program writes to its buffers decides its next call, and is compared like any result. No argument is
    changed. Raises `InvalidCase` as `truth` does, and for a name that is no buffer.
    """
    buffers = dict(module.named_buffers())
    for name in names:
        if name not in buffers:
            raise InvalidCase(f"the module has no buffer {name!r}")
    return truth(_Buffers(module, names), inputs, kwargs, before)


class _Buffers(torch.nn.Module):
    """A module whose result is what the inner one leaves in some of its buffers."""

    def __init__(self, inner: torch.nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.inner, self.names = inner, tuple(names)
        self.training = inner.training

    def forward(self, *inputs: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        self.inner(*inputs, **kwargs)
        buffers = dict(self.inner.named_buffers())
        return tuple(buffers[name] for name in self.names)


def call_name(func: Any) -> str:
    """`aten::add.Tensor` of an operator overload as `aten.add.Tensor`."""
    return f"{func._schema.name.replace('::', '.')}.{func._schema.overload_name or 'default'}"


class _Scramble(TorchDispatchMode):
    """Makes chance visible: from a salt, reseeds before every operator that draws and fills uninitialised memory."""

    def __init__(self, salt: int) -> None:
        super().__init__()
        self.salt = salt
        self.seen: set[str] = set()

    supports_higher_order_operators = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, torch._ops.HigherOrderOperator):
            return run_plainly(self, func, args, kwargs)
        packet = func._schema.name
        if torch.Tag.nondeterministic_seeded in func.tags and packet not in DRAWS_ONLY_WITH_DROPOUT:
            self.seen.add(packet)
            generator = kwargs.get("generator")
            seed = 7919 * (self.salt + 1) + len(self.seen)
            if generator is not None:
                generator.manual_seed(seed)
            else:
                torch.default_generator.manual_seed(seed)
        held = args[0].untyped_storage().nbytes() if packet in RESIZED else 0
        out = func(*args, **kwargs)
        if packet.split("::")[-1] in UNINITIALISED and isinstance(out, Tensor):
            fresh = out
            if packet in RESIZED:
                # It keeps what it held; what its storage has grown by is fresh.
                start, end = (n // out.element_size() for n in (held, out.untyped_storage().nbytes()))
                fresh = torch.as_strided(out, (max(end - start, 0),), (1,), start)
            if fresh.numel():
                self.seen.add(f"{packet} (uninitialised memory)")
                fresh.fill_(self._poison(out.dtype))
        return out

    def _poison(self, dtype: torch.dtype) -> Any:
        if dtype == torch.bool:
            return bool(self.salt % 2)
        return self.salt * 3 + 1


class WidenFactories(TorchDispatchMode):
    """float64 where a program asks for float32 by name (`dtype=`, `.float()`); casts to fp16 and bf16 do round."""

    supports_higher_order_operators = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if isinstance(func, torch._ops.HigherOrderOperator):
            return run_plainly(self, func, args, kwargs)
        if kwargs.get("dtype") in (torch.float32, torch.complex64):
            kwargs["dtype"] = WIDE[kwargs["dtype"]]
        return func(*args, **kwargs)


class _Parameters:
    """Copies of a module's parameters that runs share, as long as none writes into them: which their versions tell, or
    where it is done behind their back (`weight.data`) a look at what the first run has left."""

    def __init__(self) -> None:
        #: By the id of the original, which the module holds: the copy, its version, and whether it was looked at.
        self._copies: dict[int, tuple[Tensor, int, bool]] = {}

    def copy(self, original: Tensor, prepare: Callable[[Tensor], Tensor]) -> Tensor:
        if id(original) in self._copies:
            made, version, is_looked_at = self._copies[id(original)]
            if made._version == version and (is_looked_at or _same([made], [prepare(original)])):
                self._copies[id(original)] = made, version, True
                return made
        made = prepare(original)
        self._copies[id(original)] = made, made._version, False
        return made


def _run(
    module: torch.nn.Module,
    calls: Sequence[Arguments],
    wide: bool,
    change: Callable[[Tensor], Tensor] | None = None,
    literals: bool = False,
    parameters: _Parameters | None = None,
) -> Any:
    """What the last of the calls gives, on copies; `wide` makes floating inputs, parameters, buffers and tensor
    attributes float64, `literals` what is made from nothing and names no dtype. Copies of `parameters` are taken from
    there."""

    def prepare(t: Tensor) -> Tensor:
        if parameters is not None and type(t) is torch.nn.Parameter:  # a quantized one is of a class of its own
            return parameters.copy(t, copied)
        return copied(t)

    def copied(t: Tensor) -> Tensor:
        own = t.detach()
        t = _widen(own) if wide else own
        t = own.clone() if t is own else t
        return change(t) if change and (t.is_floating_point() or t.is_complex()) else t

    with _disable_current_modes():  # copying is none of what the program does, and there is much of it
        runner = _copied(module, prepare)
        arguments = [tree_map_only(Tensor, prepare, (call.inputs, dict(call.kwargs))) for call in calls]
    result = None
    default = torch.float64 if literals else torch.get_default_dtype()
    with torch.no_grad(), in_plain_python(), _plain_attention(), _default_dtype(default):
        for inputs, kwargs in arguments:
            result = runner(*inputs, **kwargs)
    return result


def _copied(module: torch.nn.Module, prepare: Callable[[Tensor], Tensor]) -> torch.nn.Module:
    """The module with each of its tensors prepared."""
    # Parameters and buffers are copied below, once.
    kept = (*module.parameters(), *module.buffers())
    runner = copy.deepcopy(module, {id(value): value for value in kept})
    for part in runner.modules():
        for store in (part._parameters, part._buffers):
            for name, value in store.items():
                if value is not None:
                    new = prepare(value)
                    store[name] = torch.nn.Parameter(new, requires_grad=False) if store is part._parameters else new
        for name, value in list(part.__dict__.items()):
            if not name.startswith(("_parameters", "_buffers", "_modules")):
                part.__dict__[name] = tree_map_only(Tensor, prepare, value) if _holds_tensor(value) else value
    return runner


@contextmanager
def _plain_attention() -> Iterator[None]:
    """PyTorch's transformer layers by the operators that export finds in them, not by one fused for eager inference."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, Tensor):
        return True
    if not isinstance(value, (list, tuple, dict)) or not value:
        return False
    return any(isinstance(leaf, Tensor) for leaf in tree_flatten(value)[0])


def _scrambled(module: torch.nn.Module, calls: Sequence[Arguments], salt: int) -> tuple[Any, set[str]]:
    torch.manual_seed(12345 + salt)
    mode = _Scramble(salt)
    try:
        with mode:
            out = _run(module, calls, wide=False)
    except Exception as error:  # whatever a user's module raises is the case's own fault, and the reason
        raise InvalidCase(f"eager fails: {type(error).__name__}: {_first_line(error)}") from error
    return out, mode.seen


def _tensors(result: Any) -> tuple[list[Tensor], list[str]]:
    leaves, _ = tree_flatten(result)
    known = (Tensor, int, float, bool)
    others = [
        f"result {i}: {type(leaf).__name__}"
        for i, leaf in enumerate(leaves)
        if leaf is not None and not isinstance(leaf, known)
    ]
    with _disable_current_modes():  # who watches operators would see numbers made
        found = [leaf if isinstance(leaf, Tensor) else torch.tensor(leaf) for leaf in leaves if isinstance(leaf, known)]
    return [_plain(leaf) for leaf in found], others


def _widen(t: Tensor) -> Tensor:
    return t.to(WIDE[t.dtype]) if t.dtype in WIDE else t


def _mismatch(outputs: list[Tensor], reference: list[Tensor]) -> str:
    """Why float64 eager did something else than eager in the case's dtype; empty when it did the same."""
    if len(outputs) != len(reference):
        return f"float64 gives {len(outputs)} tensors, the case's dtype {len(reference)}"
    for i, (out, ref) in enumerate(zip(outputs, reference, strict=True)):
        if out.shape != ref.shape:
            return f"float64 gives shape {list(out.shape)} for output {i}, the case's dtype {list(ref.shape)}"
        if out.is_floating_point() != ref.is_floating_point() or out.is_complex() != ref.is_complex():
            return f"float64 gives {out.dtype} for output {i}, the case's dtype {ref.dtype}"
    return ""


def _same(a: Any, b: Any) -> bool:
    """Bit for bit, except that any nan equals any nan."""
    flat_a, flat_b = tree_flatten(a)[0], tree_flatten(b)[0]
    if len(flat_a) != len(flat_b):
        return False
    for x, y in zip(flat_a, flat_b, strict=True):
        if isinstance(x, Tensor) != isinstance(y, Tensor):
            return False
        if isinstance(x, Tensor):
            if x.shape != y.shape or x.dtype != y.dtype or not _same_bits(x, y):
                return False
        elif isinstance(x, (int, float, bool, str)) and not (x == y or (x != x and y != y)):
            return False
    return True


def _same_bits(x: Tensor, y: Tensor) -> bool:
    if x.layout is not torch.strided:
        return True  # refused afterwards, with the layout named
    x, y = x.detach().resolve_conj().resolve_neg(), y.detach().resolve_conj().resolve_neg()
    if x.is_complex():
        return _same_bits(torch.view_as_real(x), torch.view_as_real(y))
    if not x.is_floating_point():
        return torch.equal(x, y)
    if x.dtype.itemsize == 1:  # the float8 types have hardly any kernels
        x, y = x.float(), y.float()
    same = ((x == y) & (torch.signbit(x) == torch.signbit(y))) | (torch.isnan(x) & torch.isnan(y))
    return bool(same.all())


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


@contextmanager
def _quiet_rng() -> Iterator[None]:
    """The caller's random state, whatever happens inside."""
    with torch.random.fork_rng(devices=[]):
        yield


def _plain(t: Tensor) -> Tensor:
    return t.detach().resolve_conj().resolve_neg() if t.layout is torch.strided else t.detach()
