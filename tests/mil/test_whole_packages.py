"""Packages as a whole: flexible shapes, several functions, large weights, a state from call to call."""

from __future__ import annotations

import logging
import re
import sys
import tracemalloc
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from harness.mil import EXACT, Description, Feature, InputError, load
from harness.mil.__main__ import main


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


# --- flexible shapes


class Mixed(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.cat([x, x.mean(0, keepdim=True)]), torch.softmax(x.reshape(-1, 2), 0)


def flexible(path: Path, shape) -> str:
    traced = torch.jit.trace(Mixed().eval(), torch.ones(3, 4))
    model = ct.convert(
        traced,
        inputs=[ct.TensorType("x", shape)],
        outputs=[ct.TensorType("longer"), ct.TensorType("pairs")],
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(path))
    return str(path)


RANGED = ct.Shape((ct.RangeDim(2, 6, default=3), 4))
ENUMERATED = ct.EnumeratedShapes([(3, 4), (1, 4), (2, 8)], default=(3, 4))


@pytest.mark.parametrize(
    ("shape", "accepted", "refused", "said"),
    [
        (RANGED, [(2, 4), (3, 4), (6, 4)], [(1, 4), (7, 4), (2, 8), (2, 4, 1)], "[2 to 6, 4]"),
        (ENUMERATED, [(1, 4), (2, 8), (3, 4)], [(1, 8), (2, 4), (4,)], "one of [3, 4], [1, 4], [2, 8]"),
    ],
    ids=["range", "enumerated"],
)
def test_flexible_shapes(shape, accepted, refused, said, tmp_path, capsys):
    path = flexible(tmp_path / "model.mlpackage", shape)
    model = load(path)
    (feature,) = model.function().description.inputs
    assert feature.shape == (3, 4)
    for size in accepted:
        x = np.linspace(-1, 1, np.prod(size), dtype=np.float32).reshape(size)
        want = Mixed()(torch.from_numpy(x))
        for got, expected in zip(model({"x": x}).values(), want, strict=True):
            np.testing.assert_allclose(got, expected.numpy(), rtol=2e-6)
    for size in refused:
        with pytest.raises(InputError, match=re.escape(f"input 'x': shape {list(size)}, the model takes {said}")):
            model({"x": np.ones(size, np.float32)})
    assert main(["show", path]) == 0
    assert f"in   x: fp32[?, {'?' if shape is ENUMERATED else 4}], {said}\n" in capsys.readouterr().out


class Pair(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.sum() + y


def test_enumerated_shapes_of_two_inputs_belong_together_by_their_places(tmp_path):
    shapes = {"x": [(4, 3), (2, 3)], "y": [(5,), (3,)]}
    model = ct.convert(
        torch.jit.trace(Pair().eval(), (torch.ones(4, 3), torch.ones(5))),
        inputs=[ct.TensorType(name, ct.EnumeratedShapes(several)) for name, several in shapes.items()],
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "pair.mlpackage"))
    pair = load(tmp_path / "pair.mlpackage")
    for x in shapes["x"]:
        for y in shapes["y"]:
            given = {"x": np.ones(x, np.float32), "y": np.ones(y, np.float32)}
            if (x, y) in zip(*shapes.values(), strict=True):
                assert next(iter(pair(given).values())).shape == y
                continue
            with pytest.raises(InputError, match=re.escape(f"inputs 'x' {list(x)}, 'y' {list(y)}: shapes that do not")):
                pair(given)


def test_nothing_is_said_of_one_enumeration_or_of_unequal_ones():
    one, two, three = (
        Feature(name, "FLOAT32", (1,), shapes=tuple((size,) for size in sizes))
        for name, sizes in (("a", (1, 2)), ("b", (1, 2)), ("c", (1, 2, 3)))
    )
    assert Description((one, three)).mixed_shapes({"a": (1,), "c": (3,)}) == ""
    assert Description((one,)).mixed_shapes({"a": (2,)}) == ""
    assert Description((one, two)).mixed_shapes({"a": (2,), "b": (2,)}) == ""
    assert Description((one, two)).mixed_shapes({"a": (2,), "b": (1,)}) == "'a' [2], 'b' [1]"
    assert Description().mixed_shapes({}) == ""


def test_a_range_without_an_upper_limit(tmp_path):
    path = Path(flexible(tmp_path / "model.mlpackage", RANGED))
    file = next(path.rglob("*.mlmodel"))
    model = ct.proto.Model_pb2.Model.FromString(file.read_bytes())
    model.description.input[0].type.multiArrayType.shapeRange.sizeRanges[0].upperBound = -1
    file.write_bytes(model.SerializeToString())
    unlimited = load(path)
    assert unlimited({"x": np.ones((50, 4), np.float32)})["longer"].shape == (51, 4)
    with pytest.raises(InputError, match=re.escape("takes [2 or more, 4]")):
        unlimited({"x": np.ones((1, 4), np.float32)})


# --- several functions

WEIGHT = np.linspace(-1, 1, 96 * 64, dtype=np.float32).reshape(96, 64)


@pytest.fixture(scope="module")
def functions(bench, tmp_path_factory) -> str:
    """Two functions with one weight between them; `adapted` has another input and a weight of its own."""
    folder = tmp_path_factory.mktemp("functions")
    x, z = np.zeros((2, 64), np.float32), np.zeros((3, 64), np.float32)
    plain = bench.package(lambda x: mb.linear(x=x, weight=WEIGHT), {"x": x})
    adapted = bench.package(lambda z: mb.mul(x=mb.linear(x=z, weight=WEIGHT), y=np.full(96, 2, np.float32)), {"z": z})
    together = ct.utils.MultiFunctionDescriptor()
    together.add_function(plain, src_function_name="main", target_function_name="plain")
    together.add_function(adapted, src_function_name="main", target_function_name="adapted")
    together.default_function_name = "plain"
    path = str(folder / "functions.mlpackage")
    ct.utils.save_multifunction(together, path)
    return path


def test_each_function_is_run_by_its_name(functions):
    model = load(functions)
    assert set(model.functions) == {"plain", "adapted"}
    x, z = np.ones((2, 64), np.float32), np.full((3, 64), 0.5, np.float32)
    (plain,) = model({"x": x}).values()  # the default one
    (named,) = model({"x": x}, function="plain").values()
    (adapted,) = model({"z": z}, function="adapted").values()
    np.testing.assert_allclose(plain, x @ WEIGHT.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(named, plain)
    np.testing.assert_allclose(adapted, 2 * z @ WEIGHT.T, rtol=1e-4, atol=1e-4)
    assert (model.op_counts(), model.op_counts("adapted")) == ({"linear": 1}, {"linear": 1, "mul": 1})
    with pytest.raises(InputError, match="no function 'other'"):
        model({"x": x}, function="other")
    with pytest.raises(InputError, match="unknown 'x'; missing 'z'"):
        model({"x": x}, function="adapted")


def test_functions_share_their_weights(functions):
    weights = [
        constant.value
        for function in load(functions).functions.values()
        for constant in function.block.constants.values()
        if np.shape(constant.value) == WEIGHT.shape
    ]
    assert len(weights) == 2
    assert np.shares_memory(*weights)
    stored = next(Path(functions).rglob("weight.bin")).stat().st_size
    assert WEIGHT.nbytes < stored < 1.5 * WEIGHT.nbytes


def test_a_function_from_the_command_line(functions, tmp_path, capsys):
    inputs = tmp_path / "in.npz"
    np.savez(inputs, z=np.zeros((3, 64), np.float32))
    assert main(["run", functions, str(inputs), "--function", "adapted"]) == 0
    assert "float32[3, 96]" in capsys.readouterr().out
    assert main(["run", functions, str(inputs), "--function", "other"]) == 2
    assert capsys.readouterr().err == "error: no function 'other': the program has adapted, plain\n"
    assert main(["run", functions, str(inputs)]) == 2
    assert "missing 'x'" in capsys.readouterr().err
    assert main(["show", functions]) == 0
    assert re.findall(r"^function (\w+)", capsys.readouterr().out, re.M) == ["adapted", "plain"]


# --- large weights

ROWS, COLUMNS = 3000, 2000  # 24 MB in fp32


@pytest.fixture(scope="module")
def large(bench) -> Path:
    weight = np.tile(np.linspace(-1, 1, COLUMNS, dtype=np.float32), (ROWS, 1))
    weight[:, 0] = np.arange(ROWS)
    return Path(bench.package(lambda x: mb.linear(x=x, weight=weight), {"x": np.zeros((1, COLUMNS), np.float32)}))


def allocated(function) -> int:
    """The most bytes that Python and numpy held at once in a call."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def resident(file: Path) -> int:
    """Bytes of the mappings of a file that are in memory."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith(str(file.resolve()))
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def test_loading_copies_no_weights(large):
    size = next(large.rglob("weight.bin")).stat().st_size
    assert size > 4 * ROWS * COLUMNS
    load(large)  # imports what it needs
    assert allocated(lambda: load(large)) < size / 50


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is in memory")
def test_loading_reads_no_weights(large):
    file = next(large.rglob("weight.bin"))
    model = load(large)
    assert resident(file) < file.stat().st_size / 10  # the page of the header, and what the system reads ahead
    (result,) = model({"x": np.eye(1, COLUMNS, dtype=np.float32)}).values()
    assert resident(file) > file.stat().st_size / 2  # the measure can tell
    np.testing.assert_array_equal(result[0], np.arange(ROWS))


def test_running_in_fp32_copies_no_weights(large):
    size, x = next(large.rglob("weight.bin")).stat().st_size, {"x": np.ones((1, COLUMNS), np.float32)}
    model = load(large)
    assert allocated(lambda: model(x)) < size / 50
    assert allocated(lambda: model(x, mode=EXACT)) > size  # float64 they must be copied to, once
    assert allocated(lambda: model(x, mode=EXACT)) < size / 50


# --- states


def test_a_state_is_read_in_the_call_after_it_was_written(bench):
    @mb.program(
        input_specs=[mb.TensorSpec((3,), types.fp16), mb.StateTensorSpec((3,), types.fp16)],
        opset_version=ct.target.iOS18,
    )
    def program(x, total):
        more = mb.add(x=mb.read_state(input=total), y=x)
        mb.coreml_update_state(state=total, value=more)
        return mb.mul(x=more, y=np.float16(2), name="twice")

    model = load(bench.save(program))
    x, state = np.float16([1, 2, 3]), model.make_state()
    for step in (1, 2, 3):
        np.testing.assert_array_equal(model({"x": x}, state=state)["twice"], 2 * step * x)
    np.testing.assert_array_equal(next(iter(state.values())), 3 * x)
    np.testing.assert_array_equal(model({"x": x}, state=model.make_state())["twice"], 2 * x)
    with pytest.raises(InputError, match="needs the state"):
        model({"x": x})
