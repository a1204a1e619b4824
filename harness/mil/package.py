"""Reading `.mlpackage` (and bare `.mlmodel`) files, straight from the protobuf.

Types and shapes are taken as the file declares them; nothing is inferred, so a wrong declaration stays visible.
Weights are mapped into memory copy-on-write and viewed in place.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from harness.mil import protobuf
from harness.mil.errors import InvalidProgram, PackageError
from harness.mil.program import (
    Argument,
    Block,
    Description,
    Feature,
    Function,
    Literal,
    NamedType,
    Operation,
    Program,
    ValueRef,
)
from harness.mil.types import (
    BITS,
    NUMPY,
    PROTO_NAME,
    Array,
    DictionaryType,
    ListType,
    StateType,
    TensorType,
    TupleType,
    ValueType,
    decode,
)

_MODEL_PATH_PREFIX = "@model_path/"
_BLOB_SENTINEL = 0xDEADBEEF
_BLOB_HEADER = struct.Struct("<IIQQ")  # sentinel, data type, size in bytes, offset of the data; padded to 64 bytes
# Data type codes of a weight file (MILBlob's BlobDataType).
_BLOB_TYPES = {
    1: "fp16", 2: "fp32", 3: "uint8", 4: "int8", 5: "bf16", 6: "int16", 7: "uint16", 8: "int4", 9: "uint1",
    10: "uint2", 11: "uint4", 12: "uint3", 13: "uint6", 14: "int32", 15: "uint32",
}  # fmt: skip


@dataclass(frozen=True)
class ReadPackage:
    """A package as it was read: `function` is the one that is run of it, empty for the default, `weights` the bytes of
    its weight files."""

    program: Program
    function: str = ""
    weights: int = 0

    @property
    def run(self) -> Function:
        return self.program.functions[self.function or self.program.default_function]

    @staticmethod
    def of(program: Program, function: str, package: Path) -> ReadPackage:
        files = (path for path in package.rglob("weights/*") if path.is_file())
        return ReadPackage(program, function, sum(path.stat().st_size for path in files))


def read_program(path: str | os.PathLike[str]) -> Program:
    """Parse the ML Program in a package directory or a `.mlmodel` file.

    Raises PackageError naming the path when it is missing, truncated, compiled (`.mlmodelc`) or another kind of model.
    """
    spec_path = _specification_path(Path(path))
    try:
        data = spec_path.read_bytes()
    except OSError as error:
        raise PackageError(f"{spec_path}: {error.strerror or error}") from error
    model = protobuf.module("Model_pb2").Model()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError
        raise PackageError(f"{spec_path}: not a Core ML specification, or a truncated one") from error
    kind = model.WhichOneof("Type")
    if kind != "mlProgram":
        raise PackageError(f"{spec_path}: not an ML Program but {kind or 'an empty specification'}")
    return _Reader(model, Weights(spec_path.parent)).program()


def _specification_path(path: Path) -> Path:
    if not path.exists():
        raise PackageError(f"{path}: no such file or directory")
    if path.is_file():
        return path
    if path.suffix == ".mlmodelc" or (path / "model.mil").exists():
        raise PackageError(f"{path}: a compiled model; this reader needs the .mlpackage")
    manifest = path / "Manifest.json"
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        item = content["itemInfoEntries"][content["rootModelIdentifier"]]
        return path / "Data" / PurePosixPath(item["path"])
    except FileNotFoundError as error:
        raise PackageError(f"{path}: not an .mlpackage (no Manifest.json)") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackageError(f"{manifest}: unreadable manifest ({type(error).__name__}: {error})") from error


class Weights:
    """The weight files beside a specification, mapped on first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = cache(self._map)

    def _map(self, file_name: str) -> Array:
        relative = PurePosixPath(file_name.removeprefix(_MODEL_PATH_PREFIX))
        if relative.is_absolute() or ".." in relative.parts:
            raise PackageError(f"{file_name}: weight file outside of the package")
        path = self._folder / relative
        try:
            with path.open("rb") as file:
                if path.stat().st_size == 0:
                    raise PackageError(f"{path}: empty weight file")
                return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), np.uint8)
        except OSError as error:
            raise PackageError(f"{path}: {error.strerror or error}") from error

    def read(self, file_name: str, offset: int, declared: TensorType, count: int) -> Array:
        """`count` elements of the record at `offset`; the record's own data type must be the declared one."""
        data = self._file(file_name)
        where = f"{file_name} at {offset}"
        if offset + 64 > data.size:
            raise PackageError(f"{where}: past the end of the weight file (truncated?)")
        sentinel, code, size, start = _BLOB_HEADER.unpack(data[offset : offset + _BLOB_HEADER.size].tobytes())
        if sentinel != _BLOB_SENTINEL:
            raise PackageError(f"{where}: no weight record there")
        stored = _BLOB_TYPES.get(code, f"type {code}")
        if stored != declared.dtype and (BITS.get(stored) != BITS[declared.dtype] or declared.dtype == "bool"):
            raise PackageError(f"{where}: holds {stored}, declared as {declared.dtype}")
        if start + size > data.size:
            raise PackageError(f"{where}: {size} bytes at {start}, past the end of the weight file (truncated?)")
        try:
            return decode(data[start : start + size], declared.dtype, count)
        except ValueError as error:
            raise PackageError(f"{where}: {error}") from error


class _Reader:
    """One pass over a parsed `Model` message."""

    def __init__(self, model: Any, weights: Weights) -> None:
        self._model = model
        self._weights = weights

    def program(self) -> Program:
        model, described = self._model, self._model.description
        by_function = {f.name: f for f in described.functions}
        functions = {}
        for name, message in sorted(model.mlProgram.functions.items()):  # the order of a protobuf map is none
            description = _description(by_function.get(name, described))
            functions[name] = self._function(name, message, description)
        metadata = dict(described.metadata.userDefined.items())
        default = described.defaultFunctionName or ("main" if "main" in functions else next(iter(functions), "main"))
        return Program(functions, default, model.specificationVersion, metadata)

    def _function(self, name: str, message: Any, description: Description) -> Function:
        blocks = message.block_specializations
        opset = message.opset if message.opset in blocks else next(iter(blocks), None)
        if opset is None:
            raise PackageError(f"function {name}: no block to run")
        return Function(name, opset, _named_types(message.inputs), self._block(blocks[opset]), description)

    def _block(self, message: Any) -> Block:
        operations: list[Operation] = []
        constants: dict[str, Literal] = {}
        for op in message.operations:
            if op.type == "const":
                output = op.outputs[0]
                constants[output.name] = self._constant(op, output)
            else:
                operations.append(self._operation(op))
        return Block(_named_types(message.inputs), tuple(message.outputs), tuple(operations), constants)

    def _constant(self, op: Any, output: Any) -> Literal:
        literal = self._literal(op.attributes["val"])
        declared = _value_type(output.type)
        if declared != literal.type:
            raise InvalidProgram("const", output.name, f"declared {declared}, its value is {literal.type}")
        return literal

    def _operation(self, op: Any) -> Operation:
        # The constexpr operators of iOS16 hold their arguments as attributes.
        inputs: dict[str, Argument] = {k: self._literal(v) for k, v in op.attributes.items() if k != "name"}
        for parameter, argument in op.inputs.items():
            bindings = tuple(self._binding(b) for b in argument.arguments)
            inputs[parameter] = bindings[0] if len(bindings) == 1 else bindings
        name = "".join(s.decode() if isinstance(s, bytes) else s for s in _strings(op.attributes["name"]))
        return Operation(
            op.type, name, inputs, _named_types(op.outputs), tuple(self._block(block) for block in op.blocks)
        )

    def _binding(self, binding: Any) -> ValueRef | Literal:
        return ValueRef(binding.name) if binding.WhichOneof("binding") == "name" else self._literal(binding.value)

    def _literal(self, value: Any) -> Literal:
        kind = _value_type(value.type)
        if value.WhichOneof("value") == "blobFileValue":
            if not isinstance(kind, TensorType):
                raise PackageError(f"{value.blobFileValue.fileName}: only tensors can be in a weight file")
            shape = _static_shape(kind)
            count = int(np.prod(shape, dtype=np.int64))
            blob = value.blobFileValue
            return Literal(self._weights.read(blob.fileName, blob.offset, kind, count).reshape(shape), kind)
        return Literal(_immediate(value.immediateValue, kind), kind)


def _strings(value: Any) -> Iterable[Any]:
    return value.immediateValue.tensor.strings.values


def _immediate(value: Any, kind: ValueType) -> Any:
    if isinstance(kind, TensorType):
        return _immediate_tensor(value.tensor, kind)
    if isinstance(kind, ListType):
        return tuple(_immediate(item.immediateValue, _value_type(item.type)) for item in value.list.values)
    if isinstance(kind, TupleType):
        return tuple(
            _immediate(item.immediateValue, type_) for item, type_ in zip(value.tuple.values, kind.items, strict=True)
        )
    raise PackageError(f"a constant of type {kind} is not supported")


def _immediate_tensor(tensor: Any, kind: TensorType) -> Any:
    shape = _static_shape(kind)
    count = int(np.prod(shape, dtype=np.int64))
    field = tensor.WhichOneof("value")
    if field is None:
        raw: Any = ()
    else:
        raw = getattr(tensor, field).values
    if kind.dtype == "string":
        texts = [s.decode() if isinstance(s, bytes) else s for s in raw]
        if len(texts) != count:
            raise PackageError(f"a {kind} constant holds {len(texts)} strings")
        return texts[0] if shape == () else np.array(texts, dtype=object).reshape(shape)
    if field == "bytes":
        data = np.frombuffer(raw, np.uint8).copy()  # a copy is writable and aligned
        if BITS[kind.dtype] < 8 and data.size == count:
            array = data.view(NUMPY[kind.dtype])  # small immediates may be one element a byte
        else:
            try:
                array = decode(data, kind.dtype, count)
            except ValueError as error:
                raise PackageError(f"a {kind} constant: {error}") from error
    else:
        array = np.array(raw, dtype=np.float64 if field in ("floats", "doubles") else np.int64).astype(
            NUMPY[kind.dtype]
        )
    if array.size != count:
        raise PackageError(f"a {kind} constant holds {array.size} elements")
    return array.reshape(shape)


def _static_shape(kind: TensorType) -> tuple[int, ...]:
    if kind.shape is None or any(d is None for d in kind.shape):
        raise PackageError(f"a constant of type {kind} has no fixed shape")
    return tuple(d for d in kind.shape if d is not None)


def _named_types(messages: Any) -> tuple[NamedType, ...]:
    return tuple(NamedType(m.name, _value_type(m.type)) for m in messages)


def _value_type(message: Any) -> ValueType:
    kind = message.WhichOneof("type")
    if kind == "tensorType":
        tensor = message.tensorType
        dtype = PROTO_NAME.get(tensor.dataType)
        if dtype is None:
            raise PackageError(f"unsupported data type number {tensor.dataType}")
        shape: list[int | None] = []
        for dimension in tensor.dimensions:
            if dimension.WhichOneof("dimension") == "constant":
                shape.append(dimension.constant.size)
            elif dimension.unknown.variadic:
                return TensorType(dtype, None)
            else:
                shape.append(None)
        return TensorType(dtype, tuple(shape) if tensor.rank >= 0 else None)
    if kind == "listType":
        length = message.listType.length
        fixed = length.constant.size if length.WhichOneof("dimension") == "constant" else None
        return ListType(_value_type(message.listType.type), fixed)
    if kind == "dictionaryType":
        return DictionaryType(
            _value_type(message.dictionaryType.keyType), _value_type(message.dictionaryType.valueType)
        )
    if kind == "tupleType":
        return TupleType(tuple(_value_type(t) for t in message.tupleType.types))
    if kind == "stateType":
        wrapped = _value_type(message.stateType.wrappedType)
        if not isinstance(wrapped, TensorType):
            raise PackageError(f"a state of type {wrapped} is not supported")
        return StateType(wrapped)
    raise PackageError("a value without a type")


def _description(message: Any) -> Description:
    return Description(*(tuple(_feature(f) for f in group) for group in (message.input, message.output, message.state)))


def _feature(message: Any) -> Feature:
    kind = message.type.WhichOneof("Type")
    optional = message.type.isOptional
    if kind in ("multiArrayType", "stateType"):
        array = message.type.multiArrayType if kind == "multiArrayType" else message.type.stateType.arrayType
        data_type = type(array).ArrayDataType.Name(array.dataType)
        sizes, shapes = _flexible(array)
        return Feature(message.name, data_type, tuple(array.shape), optional, sizes, shapes)
    if kind == "imageType":
        image = message.type.imageType
        channels = 1 if "GRAYSCALE" in type(image).ColorSpace.Name(image.colorSpace) else 3
        return Feature(message.name, "IMAGE", (1, channels, image.height, image.width), optional)
    return Feature(message.name, (kind or "unknown").removesuffix("Type").upper(), (), optional)


def _flexible(array: Any) -> tuple[tuple[tuple[int, int | None], ...], tuple[tuple[int, ...], ...]]:
    """Ranges of the sizes, or the shapes there are, of an array whose shape is flexible."""
    kind = array.WhichOneof("ShapeFlexibility")
    if kind == "enumeratedShapes":
        return (), tuple(tuple(shape.shape) for shape in array.enumeratedShapes.shapes)
    if kind == "shapeRange":
        ranges = array.shapeRange.sizeRanges  # an upper bound below zero is none
        return tuple((r.lowerBound, r.upperBound if r.upperBound >= 0 else None) for r in ranges), ()
    return (), ()
