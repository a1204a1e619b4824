from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from harness.cases.case import Built
from harness.lowering import fingerprint
from harness.lowering.fingerprint import built_digest, code_digests, code_fingerprint, program_digest
from harness.lowering.lower import Exported


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package of our own in place of those that are measured."""
    root = tmp_path / "site" / "measured_package"
    (root / "inner" / "__pycache__").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "inner" / "ops.py").write_text("x = 1\n")
    (root / "notes.txt").write_text("hello")
    monkeypatch.syspath_prepend(root.parent)
    monkeypatch.setattr(fingerprint, "PACKAGES", ("measured_package", "no_such_package_at_all"))
    importlib.invalidate_caches()
    code_fingerprint.cache_clear()
    yield root
    code_fingerprint.cache_clear()


def again() -> str:
    code_fingerprint.cache_clear()
    return code_fingerprint()


def test_the_same_code_has_the_same_fingerprint(package: Path) -> None:
    assert again() == again()


def edited(root: Path) -> None:
    (root / "inner" / "ops.py").write_text("x = 22\n")


def edited_to_the_same_size(root: Path) -> None:
    path = root / "inner" / "ops.py"
    path.write_text("x = 2\n")
    os.utime(path, ns=(1, 1))


def added(root: Path) -> None:
    (root / "inner" / "more.py").write_text("")


def removed(root: Path) -> None:
    (root / "inner" / "ops.py").unlink()


def renamed(root: Path) -> None:
    (root / "inner" / "ops.py").rename(root / "inner" / "operators.py")


def library(root: Path) -> None:
    (root / "native.so").write_bytes(b"\x7fELF")


@pytest.mark.parametrize("change", [edited, edited_to_the_same_size, added, removed, renamed, library])
def test_a_change_of_code_changes_it(change: Callable[[Path], None], package: Path) -> None:
    before = again()
    change(package)
    assert again() != before


def test_what_is_no_code_does_not(package: Path) -> None:
    before = again()
    (package / "notes.txt").write_text("other words")
    (package / "inner" / "__pycache__" / "ops.cpython-311.pyc").write_bytes(b"0")
    (package / "inner" / "__pycache__" / "ops.py").write_text("")
    assert again() == before


def test_links_to_directories_are_followed(package: Path, tmp_path: Path) -> None:
    """An editable installation of ExecuTorch is a directory of links into the checkout."""
    checkout = tmp_path / "checkout" / "backends"
    checkout.mkdir(parents=True)
    (checkout / "partitioner.py").write_text("x = 1\n")
    (package / "backends").symlink_to(checkout)
    before = again()
    (checkout / "partitioner.py").write_text("x = 22\n")
    assert again() != before


def test_links_in_a_circle_and_into_nothing_do_no_harm(package: Path) -> None:
    before = again()
    (package / "inner" / "up").symlink_to(package)
    (package / "inner" / "gone.py").symlink_to(package / "nowhere.py")
    assert again() != ""
    (package / "inner" / "up").unlink()
    (package / "inner" / "gone.py").unlink()
    assert again() == before


def test_the_installed_packages_are_found() -> None:
    code_fingerprint.cache_clear()
    for package in ("torch", "executorch", "coremltools", "harness.lowering"):
        assert package in fingerprint.PACKAGES
        (root,) = fingerprint._locations(package)
        assert any(name.endswith(".py") for name, *_ in fingerprint._code_files(root, len(str(root))))


class Affine(torch.nn.Module):
    def __init__(self, weight: float = 2.0, buffer: float = 1.0, constant: float = 3.0, scalar: float = 0.5) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((3,), weight))
        self.register_buffer("bias", torch.full((3,), buffer))
        self.table = torch.full((3,), constant)
        self.scalar = scalar

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.weight + self.bias) * self.table + self.scalar


@pytest.fixture(scope="module")
def digest_of(exported: Callable[..., Exported]) -> Callable[..., str]:
    def make(module: torch.nn.Module, *inputs: torch.Tensor, **options: object) -> str:
        program = exported(module, *inputs, **options).program
        assert program is not None
        return program_digest(program)

    return make


def test_the_same_program_has_the_same_digest(digest_of: Callable[..., str]) -> None:
    assert digest_of(Affine(), torch.ones(3)) == digest_of(Affine(), torch.zeros(3))


@pytest.mark.parametrize("what", ["weight", "buffer", "constant", "scalar"])
def test_a_value_changes_the_digest(what: str, digest_of: Callable[..., str]) -> None:
    # The smallest change there is in float32.
    value = float(torch.nextafter(torch.tensor(2.0), torch.tensor(3.0)))
    assert digest_of(Affine(**{what: 2.0}), torch.ones(3)) != digest_of(Affine(**{what: value}), torch.ones(3))


class Twice(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x


class Square(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x


def test_operators_dtypes_shapes_and_layouts_change_the_digest(digest_of: Callable[..., str]) -> None:
    rows = {0: torch.export.Dim("rows", min=2, max=8)}
    more = {0: torch.export.Dim("rows", min=2, max=16)}
    image = torch.ones(2, 3, 4, 4)
    digests = [
        digest_of(Twice(), torch.ones(4, 3)),
        digest_of(Square(), torch.ones(4, 3)),
        digest_of(Twice(), torch.ones(4, 3, dtype=torch.float16)),
        digest_of(Twice(), torch.ones(4, 3, dtype=torch.int32)),
        digest_of(Twice(), torch.ones(4, 1)),
        digest_of(Twice(), torch.ones(3, 4).T),
        digest_of(Twice(), torch.ones(4, 3), dynamic_shapes=(rows,)),
        digest_of(Twice(), torch.ones(4, 3), dynamic_shapes=(more,)),
        digest_of(Twice(), image),
        digest_of(Twice(), image.to(memory_format=torch.channels_last)),
    ]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    "constant",
    [
        pytest.param(torch.tensor(1.0), id="rank 0"),
        pytest.param(torch.tensor([True]), id="bool"),
        pytest.param(torch.zeros(0), id="empty"),
        pytest.param(torch.tensor([1 + 2j]), id="complex"),
        pytest.param(torch.ones(4, 3).T, id="transposed"),
        pytest.param(torch.tensor(7), id="int64"),
    ],
)
def test_constants_of_every_kind_are_digested(constant: torch.Tensor, digest_of: Callable[..., str]) -> None:
    class Return(torch.nn.Module):
        def __init__(self, value: torch.Tensor) -> None:
            super().__init__()
            self.value = value

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x + 1, self.value.clone()

    same = digest_of(Return(constant), torch.ones(1)) == digest_of(Return(constant.clone()), torch.ones(1))
    assert same
    if constant.numel():
        changed = constant.logical_not() if constant.dtype is torch.bool else constant + 1
        assert digest_of(Return(changed), torch.ones(1)) != digest_of(Return(constant), torch.ones(1))


def test_the_built_case_is_digested_whatever_its_tensors_are() -> None:
    x = torch.arange(8.0).reshape(2, 4)
    inputs: list[tuple[torch.Tensor, ...]] = [
        (x,),
        (x.T,),
        (x.expand(3, 2, 4),),
        (x.to(torch.complex64).conj(),),
        (x.to_sparse(),),
        (x > 1,),
        (x.to(torch.float8_e4m3fn),),
        (torch.tensor(1.0),),
        (torch.empty(0, 2),),
        (torch.ones(1), torch.zeros(1)),
        (torch.zeros(1), torch.ones(1)),
    ]
    digests = [[built_digest(Built(torch.nn.ReLU(), each, 0)) for each in inputs] for _ in range(2)]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == len(inputs)


def test_state_that_is_not_saved_changes_the_digest_of_a_built_case() -> None:
    def digest(value: float) -> str:
        module = torch.nn.ReLU()
        module.register_buffer("offset", torch.tensor(value), persistent=False)
        return built_digest(Built(module, (), 0))

    assert digest(1.0) == digest(1.0) != digest(2.0)


def test_digests_of_code_are_the_same_wherever_it_lies(package: Path) -> None:
    before = code_digests(("measured_package", "no_such_package_at_all"))
    assert list(before) == ["measured_package"]
    os.utime(package / "inner" / "ops.py", ns=(1, 1))
    (package / "inner" / "__pycache__" / "ops.pyc").write_text("x")
    (package / "notes.txt").write_text("else")
    assert code_digests(("measured_package",)) == before
    (package / "inner" / "ops.py").write_text("x = 2\n")  # as long as before
    assert code_digests(("measured_package",)) != before
