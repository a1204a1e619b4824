"""Three views of coremltools' native module: registered by the binary, offered by a stand-in, asked by Python."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from native import Member, arguments
from sources import Sources

NATIVE = "libcoremlpython"
#: The proxy inside each of coremltools' own classes (`self.__proxy__`, `self._proxy`).
INSIDE = {
    "MLModel": "_MLModelProxy",
    "CompiledMLModel": "_MLModelProxy",
    "MLState": "_State",
    "MLComputePlan": "_MLComputePlanProxy",
    "MLCPUComputeDevice": "_MLCPUComputeDeviceProxy",
    "MLGPUComputeDevice": "_MLGPUComputeDeviceProxy",
    "MLNeuralEngineComputeDevice": "_MLNeuralEngineComputeDeviceProxy",
}
#: Types of a signature by annotation. pybind11 says `%` for its own types, `object` for what it takes as it comes.
_KINDS = {"str": {"str"}, "dict": {"dict"}, "list": {"list"}, "bytes": {"bytes"}}
_ANYTHING = {"%", "object"}


@dataclass(frozen=True)
class Asked:
    """`where` coremltools asks class `of` for `name`, with how many arguments beside the object itself (None: it is not
    called there)."""

    where: str
    of: str
    name: str
    given: int | None


@dataclass(frozen=True)
class Offered:
    """A member of the stand-in: `parameters` are the types of its parameters (`self` included) that must be given, and
    of those that may."""

    kind: str
    required: tuple[frozenset[str], ...] = ()
    optional: tuple[frozenset[str], ...] = ()

    def takes(self, signature: str) -> bool:
        """Whether it can be called as a signature of the binary says."""
        given = arguments(signature)
        parameters = (*self.required, *self.optional)[: len(given)]
        return len(self.required) <= len(given) == len(parameters) and all(
            kind in allowed for kind, allowed in zip(given, parameters, strict=True)
        )

    @property
    def counts(self) -> range:
        """How many arguments it can be given."""
        return range(len(self.required), len(self.required) + len(self.optional) + 1)


def offered(text: str) -> dict[str, dict[str, Offered]]:
    """The classes of a stand-in's source whose names begin as the native module's do, with their public members."""
    classes: dict[str, dict[str, Offered]] = {}
    for node in ast.parse(text).body:
        if not isinstance(node, ast.ClassDef) or not node.name.startswith(("_ML", "_State")):
            continue
        members = classes.setdefault(node.name, {})
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and (item.name == "__init__" or not item.name.startswith("_")):
                members[item.name] = _offered(item)
            if isinstance(item, ast.Assign) and isinstance(item.value, ast.Name):  # another name of a member
                for target in item.targets:
                    members[ast.unparse(target)] = members[item.value.id]
    return classes


def attributes(text: str) -> dict[str, set[str]]:
    """Public attributes that the stand-in's classes give their objects."""
    found: dict[str, set[str]] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = {
                part.attr
                for part in ast.walk(node)
                if isinstance(part, ast.Attribute)
                and isinstance(part.ctx, ast.Store)
                and ast.unparse(part.value) == "self"
                and not part.attr.startswith("_")
            }
    return found


def _offered(node: ast.FunctionDef) -> Offered:
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    kind = "static" if "staticmethod" in decorators else "property" if "property" in decorators else "method"
    types = [
        frozenset(_KINDS.get(ast.unparse(a.annotation).partition("[")[0], _ANYTHING) if a.annotation else _ANYTHING)
        for a in node.args.args
    ]
    without = len(types) - len(node.args.defaults)
    return Offered(kind, tuple(types[:without]), tuple(types[without:]))


def differences(stand_in: dict[str, dict[str, Offered]], binary: dict[str, dict[str, Member]]) -> list[str]:
    """What the stand-in offers and the binary does not, or not so: names, kinds, numbers and types of arguments."""
    found = []
    for name, members in stand_in.items():
        if name not in binary:
            found.append(f"{name}: no such class")
            continue
        for member, own in members.items():
            if member == "__init__" and member not in binary[name]:
                continue  # the binary makes these itself, and so does the stand-in
            if (real := binary[name].get(member)) is None:
                found.append(f"{name}.{member}: no such member")
            elif real.kind != own.kind:
                found.append(f"{name}.{member}: a {real.kind}, not a {own.kind}")
            else:
                known = {len(arguments(signature)) for signature in real.signatures}
                if extra := sorted(set(own.counts) - known):
                    found.append(f"{name}.{member}: takes {extra[0]} arguments, the binary {sorted(known)}")
                elif not any(own.takes(signature) for signature in real.signatures):
                    found.append(f"{name}.{member}: does not take {' or '.join(real.signatures)}")
    return found


def unanswered(asked_for: list[Asked], stand_in: dict[str, dict[str, Offered]], left_out: dict[str, str]) -> list[str]:
    """What is asked of the native module that the stand-in does not offer, or not with as many arguments."""
    found = []
    for ask in asked_for:
        own = stand_in.get(ask.of, {}).get(ask.name)
        if own is None and f"{ask.of}.{ask.name}" not in left_out and ask.name != "__init__":
            found.append(f"{ask.where}: {ask.of}.{ask.name} is not offered")
        elif own and ask.given is not None and ask.given + (own.kind != "static") not in own.counts:
            found.append(f"{ask.where}: {ask.of}.{ask.name} is given {ask.given} arguments")
    return found


def imported(sources: Sources) -> dict[str, str]:
    """Names that coremltools' modules import from the native module, each with a module that does."""
    return {
        alias.name: module
        for module in sources.modules
        if NATIVE in sources.text(module)
        for node in ast.walk(sources.tree(module))
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(NATIVE)
        for alias in node.names
    }


def asked(sources: Sources) -> list[Asked]:
    """What coremltools' modules ask of the native module's classes and of the proxies they keep."""
    found = []
    for module in sources.modules:
        if NATIVE in sources.text(module) or "__proxy__" in sources.text(module):
            found += list(_asked_in(sources.tree(module), module, ""))
    return found


def _asked_in(node: ast.AST, module: str, inside: str) -> Iterator[Asked]:
    if isinstance(node, ast.ClassDef):
        inside = INSIDE.get(node.name, "")
    if isinstance(node, ast.Call):
        where = f"{module}:{node.lineno}"
        if isinstance(node.func, ast.Name) and node.func.id.startswith("_ML") and node.func.id.endswith("Proxy"):
            if not node.func.id.endswith("RemoteProxy"):  # a subclass of coremltools' own
                yield Asked(where, node.func.id, "__init__", len(node.args))
        elif isinstance(node.func, ast.Attribute) and (of := _proxy(node.func.value, inside)):
            explicit = node.func.attr == "__init__"  # the object is given by name
            yield Asked(where, of, node.func.attr, len(node.args) - explicit)
            for part in (*node.args, *node.keywords):
                yield from _asked_in(part, module, inside)
            return
    elif isinstance(node, ast.Attribute) and (of := _proxy(node.value, inside)):
        yield Asked(f"{module}:{node.lineno}", of, node.attr, None)
    for child in ast.iter_child_nodes(node):
        yield from _asked_in(child, module, inside)


def _proxy(node: ast.AST, inside: str) -> str:
    """The native class of an expression: itself, a proxy kept by the class around, or one handed down as `proxy`."""
    if isinstance(node, ast.Name):
        native = node.id.startswith("_ML") and node.id.endswith("Proxy") and not node.id.endswith("RemoteProxy")
        return node.id if native else inside if node.id == "proxy" else ""
    if isinstance(node, ast.Attribute) and node.attr in ("__proxy__", "_proxy"):
        return inside
    return ""
