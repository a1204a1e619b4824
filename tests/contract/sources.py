"""The Python sources of a package that cannot be imported here: its modules, classes, members and signatures.

Names are followed through imports, aliases and base classes, types through annotations. What leaves the package, or has
no annotation, is unknown (None), and unknown is never a fault.
"""

from __future__ import annotations

import ast
import functools
import inspect
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_EMPTY = inspect.Parameter.empty
#: Bases outside the package that add no public member of their own.
_PLAIN_BASES = {"object", "ABC", "_ABC", "Enum", "_Enum", "Generic", "Protocol", "Exception"}


@dataclass(frozen=True)
class Definition:
    """A class, function, module or other value: `kind` says which, `node` is its statement."""

    kind: str
    module: str
    name: str
    node: ast.AST | None = None

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(frozen=True)
class Member:
    """A name of a class: `kind` is `method`, `static`, `classmethod`, `property`, `class` or `value`."""

    kind: str
    owner: Definition
    node: ast.AST | None


class Sources:
    """Modules by dotted name."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts
        self.package = min(texts, key=len).partition(".")[0]

    @classmethod
    def of_wheel(cls, wheel: Path, package: str) -> Sources:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.startswith(f"{package}/") and n.endswith(".py")]
            return cls({_dotted(name): archive.read(name).decode() for name in names})

    @property
    def modules(self) -> list[str]:
        return sorted(self._texts)

    def text(self, module: str) -> str:
        return self._texts[module]

    @functools.cache  # noqa: B019 - a handful of objects, which live as long as the tests
    def tree(self, module: str) -> ast.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in their strings
            return ast.parse(self._texts[module])

    def find(self, path: str) -> Definition | None:
        """What a dotted path of the package names; None where there is no such thing."""
        if path in self._texts:
            return Definition("module", path, "")
        module, _, name = path.rpartition(".")
        found = self.find(module) if module else None
        if found is None:
            return None
        if found.kind == "module":
            return self._of_module(found.module, name)
        return None

    @functools.cache  # noqa: B019
    def _of_module(self, module: str, name: str) -> Definition | None:
        for node in reversed(list(_statements(self.tree(module).body))):
            if isinstance(node, (ast.ClassDef, *FUNCTIONS)) and node.name == name:
                return Definition("class" if isinstance(node, ast.ClassDef) else "function", module, name, node)
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if name == (alias.asname or alias.name.partition(".")[0]):
                        target = alias.name if alias.asname else name
                        return self.find(target) or Definition("value", module, name)
            if isinstance(node, ast.ImportFrom):
                origin = self._origin(module, node)
                for alias in node.names:
                    if name == (alias.asname or alias.name):
                        return self.find(f"{origin}.{alias.name}") or Definition("value", module, name)
                    if alias.name == "*" and origin in self._texts and (found := self._of_module(origin, name)):
                        return found
            if name in _assigned(node):
                value = getattr(node, "value", None)
                if isinstance(value, ast.Name) and value.id != name:
                    return self._of_module(module, value.id)
                return Definition("value", module, name, node)
        path = f"{module}.{name}"
        return Definition("module", path, "") if path in self._texts else None

    def _origin(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        is_package = any(other.startswith(f"{module}.") for other in self._texts)
        parts = module.split(".")
        base = parts[: len(parts) - node.level + (1 if is_package else 0)]
        return ".".join([*base, *([node.module] if node.module else [])])

    def resolve(self, module: str, expression: ast.AST | None) -> Definition | None:
        """What `Name` or `a.b.c` means in a module."""
        if isinstance(expression, ast.Name):
            return self._of_module(module, expression.id)
        if isinstance(expression, ast.Attribute):
            owner = self.resolve(module, expression.value)
            return self._of_module(owner.module, expression.attr) if owner and owner.kind == "module" else None
        return None

    def member(self, owner: Definition, name: str) -> Member | None:
        """A member of a class, its own or inherited within the package."""
        assert isinstance(owner.node, ast.ClassDef)
        for item in owner.node.body:
            if isinstance(item, FUNCTIONS) and item.name == name:
                return Member(_kind_of(item), owner, item)
            if isinstance(item, ast.ClassDef) and item.name == name:
                return Member("class", owner, item)
            if name in _assigned(item):
                return Member("value", owner, item)
        for item in ast.walk(owner.node):
            if name in _assigned_to_self(item):
                return Member("value", owner, item)
        for base in owner.node.bases:
            found = self.resolve(owner.module, base)
            if found and found.kind == "class" and (inherited := self.member(found, name)):
                return inherited
        return None

    def is_open(self, owner: Definition) -> bool:
        """Whether a class has a base this cannot see into, which may have any member."""
        assert isinstance(owner.node, ast.ClassDef)
        for base in owner.node.bases:
            found = self.resolve(owner.module, base)
            if found and found.kind == "class":
                if self.is_open(found):
                    return True
            elif last_name(base) not in _PLAIN_BASES:
                return True
        return False

    def is_enum(self, owner: Definition) -> bool:
        assert isinstance(owner.node, ast.ClassDef)
        return any((last_name(base) or "").lstrip("_") == "Enum" for base in owner.node.bases)

    def signature(self, found: Definition | Member) -> inspect.Signature | None:
        """How a class, function or bound member is called; None where that cannot be read."""
        if isinstance(found, Member):
            if not isinstance(found.node, FUNCTIONS) or found.kind == "property":
                return None
            return _signature(found.node, bound=found.kind != "static")
        if isinstance(found.node, FUNCTIONS):
            return _signature(found.node, bound=False)
        if not isinstance(found.node, ast.ClassDef) or self.is_enum(found):
            return None
        if initialiser := self.member(found, "__init__"):
            return self.signature(initialiser)
        if any((last_name(d) or "").lstrip("_") == "dataclass" for d in found.node.decorator_list):
            fields = [item for item in found.node.body if isinstance(item, ast.AnnAssign)]
            return inspect.Signature(
                [
                    inspect.Parameter(
                        ast.unparse(item.target),
                        inspect.Parameter.POSITIONAL_OR_KEYWORD,
                        default=_EMPTY if item.value is None else None,
                    )
                    for item in fields
                ]
            )
        return None if self.is_open(found) else inspect.Signature()


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements at the top level of a module, those under `if`, `try` and `with` among them."""
    for node in body:
        yield node
        for part in ("body", "handlers", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With):
                inner = getattr(node, part, [])
                for item in inner:
                    yield from _statements(item.body if isinstance(item, ast.ExceptHandler) else [item])


def _assigned(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Assign):
        return {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return set()


def _assigned_to_self(node: ast.AST) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {
        n.attr
        for target in targets
        for n in ast.walk(target)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self"
    }


def _kind_of(node: Function) -> str:
    names = {last_name(decorator) for decorator in node.decorator_list}
    for decorator, kind in (("staticmethod", "static"), ("classmethod", "classmethod"), ("property", "property")):
        if decorator in names:
            return kind
    return "method"


def last_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def _signature(node: Function, *, bound: bool) -> inspect.Signature:
    kinds = inspect.Parameter
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    without = len(positional) - len(given.defaults)
    parameters = [
        kinds(
            argument.arg,
            kinds.POSITIONAL_ONLY if index < len(given.posonlyargs) else kinds.POSITIONAL_OR_KEYWORD,
            default=_EMPTY if index < without else None,
        )
        for index, argument in enumerate(positional)
    ]
    if given.vararg:
        parameters.append(kinds(given.vararg.arg, kinds.VAR_POSITIONAL))
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        parameters.append(kinds(argument.arg, kinds.KEYWORD_ONLY, default=_EMPTY if default is None else None))
    if given.kwarg:
        parameters.append(kinds(given.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(parameters[1:] if bound else parameters)
