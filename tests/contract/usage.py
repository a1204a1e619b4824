"""What a file of ours takes from a package it is not run with: imports, names, members, and calls with their arguments.

Types are inferred as far as they are plain: from imports, calls of classes, annotated results of the package, loops
over annotated containers; through our own functions by what they return, and what they are called with; through
attributes of `self`. A value whose type is not known is not checked.
"""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sources import FUNCTIONS, Definition, Function, Member, Sources, last_name

#: Rounds until types have travelled through a file's functions.
_ROUNDS = 4
#: A value of what is inside; `Type` too, as coremltools writes it for a value of its own class.
_WRAPPERS = {"Optional", "Union", "Type"}
_SEQUENCES = {"List", "Sequence", "Iterable", "Iterator", "Tuple", "Set", "list", "tuple"}
_MAPPINGS = {"Dict", "Mapping", "dict"}


@dataclass(frozen=True)
class Type:
    """`kind`: `named` is a class, function or module itself, `instance` a value of a class, `bound` a member of one,
    `sequence` and `mapping` containers of `item`, `pair` a key and an item,
    `awaitable` what gives one; `ours` an object of a class of the file, and `our class` that class, called `name`."""

    kind: str
    definition: Definition | None = None
    member: Member | None = None
    item: Type | None = None
    name: str = ""


@dataclass
class Usage:
    """`names` are the dotted names taken from the package, `problems` one line for each that it does not have."""

    names: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def usage_of(path: Path, sources: Sources) -> Usage:
    """What a file takes from the package of `sources`."""
    return usage_in(path.read_text(), path.name, sources)


def usage_in(text: str, name: str, sources: Sources) -> Usage:
    reader = _Reader(ast.parse(text), name, sources)
    for _ in range(_ROUNDS):
        reader.usage = Usage()
        reader.read()
    reader.usage.problems = list(dict.fromkeys(reader.usage.problems))
    return reader.usage


class _Reader:
    def __init__(self, tree: ast.Module, name: str, sources: Sources) -> None:
        self.tree, self.name, self.sources = tree, name, sources
        self.usage = Usage()
        parents = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
        methods = {n: f"{node.name}.{n.name}" for node in parents for n in node.body if isinstance(n, FUNCTIONS)}
        named = [(methods.get(n, n.name), n) for n in ast.walk(tree) if isinstance(n, FUNCTIONS)]
        counts = Counter(name for name, _ in named)
        #: Ours by name, methods as `Class.method`; of several with one name it is not known which is called.
        self.functions = {name: function for name, function in named if counts[name] == 1}
        self.attributes: dict[Any, Type | None] = {}
        self.returns: dict[Any, Type | None] = {}
        self.given: dict[Any, Type | None] = {}

    def read(self) -> None:
        self.body(self.tree.body, {}, "")

    # -- statements ---------------------------------------------------------------------------------------------------

    def body(self, statements: list[ast.stmt], names: dict[str, Type], function: str) -> None:
        for node in statements:
            self.statement(node, names, function)

    def statement(self, node: ast.stmt, names: dict[str, Type], function: str) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.imported(node, names)
        elif isinstance(node, FUNCTIONS):
            of = function.removesuffix(".") if function.endswith(".") else ""
            own = f"{of}.{node.name}" if of else node.name
            known = {a.arg: t for a in _arguments(node) if (t := self.given.get((own, a.arg)))}
            if of:
                known |= {"self": Type("ours", name=of), "cls": Type("our class", name=of)}
            for part in [*node.decorator_list, *node.args.defaults]:
                self.value(part, names)
            self.body(node.body, {**names, **known}, own)
        elif isinstance(node, ast.ClassDef):
            for part in [*node.bases, *node.decorator_list]:
                self.value(part, names)
            names[node.name] = Type("our class", name=node.name)
            self.body(node.body, dict(names), f"{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            value = self.value(node.value, names) if node.value is not None else None
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    for part, given in zip(target.elts, node.value.elts, strict=False):
                        self.bind(part, self.value(given, names), names)
                else:
                    self.bind(target, value, names)
        elif isinstance(node, ast.For):
            iterated = self.value(node.iter, names)
            self.bind(node.target, iterated.item if iterated else None, names)
            self.body([*node.body, *node.orelse], names, function)
        elif isinstance(node, ast.Return):
            if node.value is not None and (value := self.value(node.value, names)):
                _learn(self.returns, function, value)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.stmt):
                    self.statement(child, names, function)
                elif isinstance(child, ast.expr):
                    self.value(child, names)
                elif isinstance(child, ast.ExceptHandler):
                    if child.type is not None:
                        self.value(child.type, names)
                    self.body(child.body, names, function)
                elif isinstance(child, ast.withitem):
                    self.value(child.context_expr, names)

    def imported(self, node: ast.Import | ast.ImportFrom, names: dict[str, Type]) -> None:
        package = self.sources.package
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == package and (found := self.found(node, alias.name)):
                    root = self.sources.find(package)
                    names[alias.asname or package] = Type("named", found if alias.asname else root)
        elif not node.level and (node.module or "").partition(".")[0] == package:
            for alias in node.names:
                if found := self.found(node, f"{node.module}.{alias.name}"):
                    names[alias.asname or alias.name] = Type("named", found)

    def found(self, node: ast.AST, path: str) -> Definition | None:
        found = self.sources.find(path)
        self.usage.names.add(path)
        if found is None:
            self.problem(node, f"{self.sources.package} has no {path}")
        return found

    def bind(self, target: ast.AST, value: Type | None, names: dict[str, Type]) -> None:
        if isinstance(target, ast.Name):
            names.pop(target.id, None)
            if value:
                names[target.id] = value
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, names)
            if owner is None or owner.kind != "ours":
                self.value(target, names)
            elif value:
                _learn(self.attributes, (owner.name, target.attr), value)
        elif isinstance(target, ast.Subscript):
            self.value(target, names)
        elif isinstance(target, ast.Tuple | ast.List):
            for part in target.elts[:-1]:
                self.bind(part, None, names)
            self.bind(target.elts[-1], value.item if value and value.kind == "pair" else None, names)

    # -- expressions --------------------------------------------------------------------------------------------------

    def value(self, node: ast.AST, names: dict[str, Type]) -> Type | None:
        """The type of an expression; what it takes from the package is noted on the way."""
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Attribute):
            return self.attribute(node, node.attr, self.value(node.value, names))
        if isinstance(node, ast.Call):
            return self.call(node, names)
        if isinstance(node, ast.Subscript):
            return self.subscript(node, self.value(node.value, names), names)
        if isinstance(node, ast.List | ast.Tuple):
            items = [self.value(item, names) for item in node.elts]
            return Type("sequence", item=items[0]) if items and items[0] and set(items) == {items[0]} else None
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            return self.comprehension(node, names)
        if isinstance(node, ast.IfExp):
            self.value(node.test, names)
            parts = [self.value(node.body, names), self.value(node.orelse, names)]
            return next((part for part in parts if part), None)
        if isinstance(node, ast.NamedExpr):
            value = self.value(node.value, names)
            self.bind(node.target, value, names)
            return value
        if isinstance(node, ast.Await):
            awaited = self.value(node.value, names)
            return awaited.item if awaited and awaited.kind == "awaitable" else None
        if isinstance(node, ast.Lambda):
            self.value(node.body, dict(names))
            return None
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr | ast.keyword):
                self.value(child.value if isinstance(child, ast.keyword) else child, names)
        return None

    def comprehension(self, node: ast.AST, names: dict[str, Type]) -> Type | None:
        inner = dict(names)
        for generator in node.generators:  # type: ignore[attr-defined]
            iterated = self.value(generator.iter, inner)
            self.bind(generator.target, iterated.item if iterated else None, inner)
            for condition in generator.ifs:
                self.value(condition, inner)
        if isinstance(node, ast.DictComp):
            self.value(node.key, inner)
            item = self.value(node.value, inner)
            return Type("mapping", item=item) if item else None
        item = self.value(node.elt, inner)  # type: ignore[attr-defined]
        return Type("sequence", item=item) if item else None

    def attribute(self, node: ast.AST, name: str, owner: Type | None) -> Type | None:
        if owner is None:
            return None
        if owner.kind == "ours":
            return self.attributes.get((owner.name, name))
        definition = owner.definition
        if definition is None or (name.startswith("__") and name.endswith("__") and name != "__proxy__"):
            return None
        if owner.kind == "named" and definition.kind == "module":
            found = self.found(node, f"{definition.module}.{name}")
            return Type("named", found) if found else None
        if definition.kind != "class":
            return None
        self.usage.names.add(f"{definition.path}.{name}")
        member = self.sources.member(definition, name)
        if member is None:
            if not self.sources.is_open(definition) and not (self.sources.is_enum(definition) and name in _OF_ENUMS):
                self.problem(node, f"{definition.path} has no {name}")
            return None
        if member.kind == "class":
            inner = Definition("class", member.owner.module, f"{member.owner.name}.{name}", member.node)
            return Type("named", inner)
        if member.kind == "property":
            return self.annotated(member.owner.module, getattr(member.node, "returns", None))
        if member.kind == "value":
            if self.sources.is_enum(definition):
                return Type("instance", definition)
            return self.annotated(member.owner.module, getattr(member.node, "annotation", None))
        if owner.kind == "named" and member.kind == "method":  # taken from the class, it wants its object
            member = replace(member, kind="static")
        return Type("bound", definition, member)

    def subscript(self, node: ast.Subscript, owner: Type | None, names: dict[str, Type]) -> Type | None:
        self.value(node.slice, names)
        if owner is None:
            return None
        if owner.kind in ("sequence", "mapping"):
            return owner if isinstance(node.slice, ast.Slice) else owner.item
        definition = owner.definition
        if owner.kind == "named" and definition and definition.kind == "class" and self.sources.is_enum(definition):
            if isinstance(node.slice, ast.Constant):
                self.attribute(node, str(node.slice.value), owner)
            return Type("instance", definition)
        return None

    def call(self, node: ast.Call, names: dict[str, Type]) -> Type | None:
        given = [self.value(argument, names) for argument in node.args]
        keywords = {keyword.arg: self.value(keyword.value, names) for keyword in node.keywords}
        called = last_name(node.func) or ""
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and isinstance(node.args[1], ast.Constant):
            return self.attribute(node, str(node.args[1].value), given[0])
        if isinstance(node.func, ast.Name) and node.func.id in ("list", "sorted", "tuple", "iter", "reversed"):
            return given[0] if given else None
        function = self.value(node.func, names)
        if function is None or function.kind == "our class":
            return self.ours(called, node, given, keywords, names)
        if function.kind not in ("named", "bound"):
            return None
        found = function.member or function.definition
        assert found is not None
        path = f"{function.definition.path}.{called}" if function.member and function.definition else _path(found)
        self.usage.names.add(path)
        signature = self.sources.signature(found)
        spread = any(isinstance(a, ast.Starred) for a in node.args) or None in keywords
        if signature is not None and not spread:
            try:
                signature.bind(*node.args, **{str(key): None for key in keywords})
            except TypeError as error:
                self.problem(node, f"{path}{_shown(signature)} does not take the call: {error}")
        if isinstance(found, Definition) and found.kind == "class":
            return Type("instance", found)
        owner = found.owner if isinstance(found, Member) else found
        return _called(found.node, self.annotated(owner.module, getattr(found.node, "returns", None)))

    def ours(
        self,
        called: str,
        node: ast.Call,
        given: list[Type | None],
        keywords: dict[str | None, Type | None],
        names: dict[str, Type],
    ) -> Type | None:
        """A call of our own function: it learns what it is given, and tells what it returns."""
        made = None
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value, names)
            if owner is not None and owner.kind == "mapping":
                parts = {"values": owner.item, "items": Type("pair", item=owner.item)}
                return Type("sequence", item=parts[called]) if called in parts else None
            if owner is None or owner.kind not in ("ours", "our class"):
                return None
            called = f"{owner.name}.{called}"
        elif (named := names.get(called)) and named.kind == "our class":
            made, called = Type("ours", name=named.name), f"{named.name}.__init__"
        function = self.functions.get(called)
        if function is None:
            return made
        parameters = [argument for argument in _arguments(function) if argument.arg not in ("self", "cls")]
        for parameter, value in zip(parameters, given, strict=False):
            if value:
                _learn(self.given, (called, parameter.arg), value)
        for key, value in keywords.items():
            if value and key:
                _learn(self.given, (called, key), value)
        return made or _called(function, self.returns.get(called))

    def annotated(self, module: str, annotation: ast.AST | None) -> Type | None:
        """The type of a value with an annotation of the package."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        if isinstance(annotation, ast.Subscript):
            outer = (last_name(annotation.value) or "").lstrip("_")
            parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
            if outer in _WRAPPERS:
                return next(filter(None, (self.annotated(module, part) for part in parts)), None)
            if outer in _SEQUENCES:
                item = self.annotated(module, parts[0])
                return Type("sequence", item=item) if item else None
            if outer in _MAPPINGS:
                item = self.annotated(module, parts[-1])
                return Type("mapping", item=item) if item else None
            return None
        found = self.sources.resolve(module, annotation) if annotation is not None else None
        return Type("instance", found) if found and found.kind == "class" else None

    def problem(self, node: ast.AST, text: str) -> None:
        self.usage.problems.append(f"{self.name}:{getattr(node, 'lineno', 0)}: {text}")


_OF_ENUMS = {"name", "value"}


def _learn(known: dict[Any, Type | None], key: Any, value: Type) -> None:
    """What is of two types is of none that can be checked."""
    known[key] = value if known.get(key, value) == value else None


def _called(function: ast.AST | None, returned: Type | None) -> Type | None:
    """What a call gives, of a function that returns a type."""
    return Type("awaitable", item=returned) if returned and isinstance(function, ast.AsyncFunctionDef) else returned


def _arguments(function: Function) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _path(found: Definition | Member) -> str:
    return found.path if isinstance(found, Definition) else found.owner.path


def _shown(signature: inspect.Signature) -> str:
    return "(" + ", ".join(str(p).removesuffix("=None") for p in signature.parameters.values()) + ")"
