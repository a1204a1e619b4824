from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from harness.mil import PackageError, load

WEIGHT = np.arange(4000, dtype=np.float32).reshape(40, 100)


@pytest.fixture(scope="module")
def package(bench):
    return Path(bench.package(lambda x: mb.linear(x=x, weight=WEIGHT), {"x": np.zeros((1, 100), np.float32)}))


@pytest.fixture
def copy(package, tmp_path):
    target = tmp_path / "copy.mlpackage"
    shutil.copytree(package, target)
    return target


def specification(package: Path) -> Path:
    return next(package.rglob("*.mlmodel"))


def weights(package: Path) -> Path:
    return next(package.rglob("weight.bin"))


def test_reads_functions_types_features_and_weights(package):
    model = load(package)
    function = model.functions["main"]
    assert function.opset_version == 8
    assert [(f.name, f.data_type, f.shape) for f in function.description.inputs] == [("x", "FLOAT32", (1, 100))]
    assert [f.data_type for f in function.description.outputs] == ["FLOAT32"]
    stored = [c.value for c in function.block.constants.values() if getattr(c.value, "shape", None) == (40, 100)]
    np.testing.assert_array_equal(stored[0], WEIGHT)
    assert model.op_counts() == {"linear": 1}


def test_a_bare_specification_is_read_too(package):
    assert load(specification(package)).op_counts() == {"linear": 1}


def test_missing_path(tmp_path):
    with pytest.raises(PackageError, match="no such file"):
        load(tmp_path / "absent.mlpackage")


def test_no_manifest(copy):
    (copy / "Manifest.json").unlink()
    with pytest.raises(PackageError, match=r"Manifest\.json"):
        load(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"itemInfoEntries": {}, "rootModelIdentifier": "x"}'])
def test_unreadable_manifest(copy, content):
    (copy / "Manifest.json").write_text(content)
    with pytest.raises(PackageError, match="manifest"):
        load(copy)


def test_manifest_names_a_file_that_is_not_there(copy):
    manifest = json.loads((copy / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = "elsewhere.mlmodel"
    (copy / "Manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PackageError, match=r"elsewhere\.mlmodel"):
        load(copy)


def test_truncated_specification(copy):
    path = specification(copy)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(PackageError, match="truncated"):
        load(copy)


def test_another_kind_of_model(copy):
    path = specification(copy)
    from harness.mil import protobuf

    other = protobuf.module("Model_pb2").Model(specificationVersion=4)
    other.neuralNetwork.SetInParent()
    path.write_bytes(other.SerializeToString())
    with pytest.raises(PackageError, match="neuralNetwork"):
        load(copy)


def test_compiled_model(tmp_path):
    (tmp_path / "a.mlmodelc").mkdir()
    with pytest.raises(PackageError, match="compiled"):
        load(tmp_path / "a.mlmodelc")


def test_missing_and_truncated_weights(copy):
    data = weights(copy).read_bytes()
    weights(copy).write_bytes(data[: len(data) // 2])
    with pytest.raises(PackageError, match="truncated"):
        load(copy)
    weights(copy).unlink()
    with pytest.raises(PackageError, match=r"weight\.bin"):
        load(copy)


def test_weight_records_are_checked(copy):
    data = bytearray(weights(copy).read_bytes())
    at = data.index((0xDEADBEEF).to_bytes(4, "little"))
    broken = bytes(data[: at + 4]) + (1).to_bytes(4, "little") + bytes(data[at + 8 :])  # 1 is fp16, declared fp32
    weights(copy).write_bytes(broken)
    with pytest.raises(PackageError, match="fp16, declared as fp32"):
        load(copy)
    data[at] ^= 0xFF
    weights(copy).write_bytes(data)
    with pytest.raises(PackageError, match="no weight record"):
        load(copy)


def test_weight_file_outside_of_the_package(copy):
    path = specification(copy)
    path.write_bytes(
        path.read_bytes().replace(b"@model_path/weights/weight.bin", b"@model_path/../../../../../../x"[:30])
    )
    with pytest.raises(PackageError, match="outside"):
        load(copy)


def test_reading_does_not_import_coremltools(package):
    code = f"import sys; from harness.mil.package import read_program; read_program({str(package)!r}); print('coremltools' in sys.modules)"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
