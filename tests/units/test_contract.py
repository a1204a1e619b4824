"""The simulated Core ML host and our own code against the real coremltools and ExecuTorch for macOS.

The wheels of the pinned versions are downloaded and read, never imported: the native module's registrations, the
Python sources. So a name that only the simulation has, an argument the real one does not take, or a source that differs
from the one exercised here is found without a Mac.
"""

from __future__ import annotations

import ast
import re
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

#: One worker waits for what these tests share; the others go on.
pytestmark = pytest.mark.xdist_group("contract")
TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "contract"))

import native  # noqa: E402
import proxies  # noqa: E402
from sources import Sources  # noqa: E402
from usage import usage_in, usage_of  # noqa: E402
from wheels import macos_wheel, unreachable  # noqa: E402

from harness.units import host, placement  # noqa: E402

ROOT = TESTS.parent
SIMULATED = TESTS / "simulated"
FAKE = SIMULATED / "libcoremlpython.py"

#: What coremltools or the binary has and the fake leaves out, and why.
LEFT_OUT = {
    "_MLModelStructureNeuralNetworkLayerProxy": "a backend emits ML Programs; no neural network is ever planned",
}
REMOTE = "coremltools.models.ml_program.experimental.remote_device"
#: Names of coremltools our code takes through values the scan of the sources cannot follow, and where.
TAKEN_UNSEEN = {
    "coremltools.models.compute_plan.MLComputePlanDeviceUsage.preferred_compute_device": "harness/units/placement.py",
    "coremltools.models.compute_plan.MLComputePlanDeviceUsage.supported_compute_devices": "harness/units/placement.py",
    "coremltools.models.compute_plan.MLComputePlanCost.weight": "harness/units/placement.py",
    f"{REMOTE}.Device.session": "harness/units/runner_app.py",
    f"{REMOTE}._RemoteMLModelService.predict": "harness/units/runner_app.py",
    f"{REMOTE}._RemoteMLModelService.unload": "harness/units/runner_app.py",
    f"{REMOTE}._RemoteMLModelService.retrieve_compute_plan": "harness/units/runner_app.py",
    f"{REMOTE}._RemoteMLModelService._prepare_data_for_transfer": "harness/units/runner_app.py",
    f"{REMOTE}._RemoteMLModelService._state": "harness/units/runner_app.py",
    f"{REMOTE}._RemoteMLModelService._service": "harness/units/runner_app.py",
    f"{REMOTE}._RemoteMLModelService.State": "harness/units/runner_app.py",
    f"{REMOTE}._DeviceCtlError.error_code": "harness/units/runner_app.py",
    f"{REMOTE}._DeviceCtlError.message": "harness/units/runner_app.py",
}
#: Names the scan must find, or it has gone blind.
SURELY_TAKEN = {
    "coremltools.ComputeUnit",
    "coremltools.models.CompiledMLModel",
    "coremltools.models._compiled_model.CompiledMLModel._proxy",
    "coremltools.models._compiled_model.CompiledMLModel.make_state",
    "coremltools.models._compiled_model.CompiledMLModel.predict",
    "coremltools.models.compute_plan.MLComputePlan.get_compute_device_usage_for_mlprogram_operation",
    "coremltools.models.compute_plan.MLComputePlan.load_from_path",
    "coremltools.models.compute_plan.MLModelStructureProgramOperation.operator_name",
    "coremltools.models.model.MLModel.get_available_compute_devices",
    "coremltools.models.model.MLState.read_state",
    f"{REMOTE}.Device.get_devices",
    f"{REMOTE}.Device.prepare_for_model_debugging",
    f"{REMOTE}._RemoteMLModelService.load",
    "coremltools.models.utils.compile_model",
}
#: The fake's refusals that are the native module's own words: whole, or up to where it adds a value.
OWN_WORDS = (
    "value type not convertible",
    "no shape, can't be an array",
    "Unsupported array type: ",
    "array is not writeable",
    "Error compiling model",
)
#: Refusals that Core ML itself makes, or in our words what it would do: no binary of the wheel has them.
WORDS_OF_THE_FRAMEWORK = (
    "is required but not specified",
    "does not match",
    "the model declares",
    "has negative strides",
    "is not a package",
    "is newer than",
    "Unable to load model",
    "is not a compiled model",
    "no function",
    "a state is needed",
    "an asset is made from a compiled model",
    "Unrecognized compute unit",
    "incompatible function arguments",
    "no state",
    "declared",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """coremltools for macOS, 3 MB."""
    return macos_wheel(f"coremltools=={version('coremltools')}", "macosx_11_0_arm64", tmp_path_factory)


@pytest.fixture(scope="module")
def executorch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ExecuTorch for macOS, 19 MB."""
    return macos_wheel(f"executorch=={version('executorch')}", "macosx_14_0_arm64", tmp_path_factory)


@pytest.fixture(scope="module")
def binary(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(host.NATIVE_MODULE.replace(".", "/") + ".so")


@pytest.fixture(scope="module")
def real(binary: bytes) -> dict[str, dict[str, native.Member]]:
    return native.registered(binary)


@pytest.fixture(scope="module")
def sources(wheel: Path) -> Sources:
    return Sources.of_wheel(wheel, "coremltools")


@pytest.fixture(scope="module")
def fake() -> dict[str, dict[str, proxies.Offered]]:
    return proxies.offered(FAKE.read_text())


def our_files() -> Iterator[Path]:
    yield from sorted((ROOT / "harness").rglob("*.py"))
    yield from sorted(SIMULATED.rglob("*.py"))


# -- the fake against the native module --------------------------------------------------------------------------------


@pytest.mark.network
def test_the_binary_is_read_to_its_last_class(binary: bytes, real: dict[str, dict[str, native.Member]]) -> None:
    named = {m[1].decode() for m in re.finditer(rb"\0(_ML\w+Proxy|_State)(?=\0)", binary)}
    assert set(real) == named
    assert real["_MLModelProxy"]["predict"].signatures == ["({%}, {dict}, {%}) -> dict"]
    assert real["_MLModelProxy"]["compileModel"].kind == "static"
    assert real["_MLComputePlanProxy"]["model_structure"].kind == "property"


@pytest.mark.network
def test_the_fake_offers_nothing_of_its_own(
    fake: dict[str, dict[str, proxies.Offered]], real: dict[str, dict[str, native.Member]]
) -> None:
    assert proxies.differences(fake, real) == []


@pytest.mark.network
def test_the_fake_leaves_nothing_out_without_a_reason(
    fake: dict[str, dict[str, proxies.Offered]], real: dict[str, dict[str, native.Member]]
) -> None:
    own = {**fake}
    missing = [name for name in real if name not in own]
    attributes = proxies.attributes(FAKE.read_text())
    for name, members in own.items():
        offered = {*members, *attributes[name]}
        missing += [f"{name}.{m}" for m in real[name] if m not in offered and m != "__init__"]
    assert sorted(missing) == sorted(LEFT_OUT)


@pytest.mark.network
def test_the_fake_answers_all_that_coremltools_asks(
    sources: Sources, fake: dict[str, dict[str, proxies.Offered]], real: dict[str, dict[str, native.Member]]
) -> None:
    assert set(proxies.imported(sources)) <= set(fake)
    asked = proxies.asked(sources)
    assert {(a.of, a.name) for a in asked} >= {("_MLModelProxy", "predict"), ("_State", "read_state")}
    properties = {f"{a.of}.{a.name}": "" for a in asked if a.name in proxies.attributes(FAKE.read_text())[a.of]}
    assert proxies.unanswered(asked, fake, {**LEFT_OUT, **properties}) == []
    # An attribute of the fake stands for a property of the binary, or is nobody's business.
    assert {p for p in properties if real[p.split(".")[0]][p.split(".")[1]].kind != "property"} == set()


@pytest.mark.network
def test_coremltools_asks_nothing_the_binary_lacks(sources: Sources, real: dict[str, dict[str, native.Member]]) -> None:
    """Checks the reading of both: they were built together."""
    for ask in proxies.asked(sources):
        member = real[ask.of].get(ask.name)
        assert member is not None, ask
        if ask.given is not None:
            given = ask.given + (member.kind != "static")
            assert given in {len(native.arguments(signature)) for signature in member.signatures}, ask


@pytest.mark.network
def test_the_marker_is_the_simulations_own(binary: bytes) -> None:
    assert host.SIMULATED_MARKER in FAKE.read_text()
    assert host.SIMULATED_MARKER.encode() not in binary


@pytest.mark.network
def test_refusals_are_in_the_real_words(binary: bytes) -> None:
    said = refusals(FAKE.read_text())
    for words in OWN_WORDS:
        assert words.encode() in binary, words
        assert any(words in text for text in said), f"{words}: the fake no longer says so"
    unknown = [text for text in said if not any(words in text for words in (*OWN_WORDS, *WORDS_OF_THE_FRAMEWORK))]
    assert unknown == []


def refusals(text: str) -> list[str]:
    """The messages of the errors a source raises, `{}` for what is filled in; those of a configured fault left out."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            message = node.exc.args[0]
            if isinstance(message, ast.JoinedStr):
                found.append("".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in message.values))
            elif isinstance(message, ast.Constant):
                found.append(str(message.value))
    return found


# -- our code against the Python sources -------------------------------------------------------------------------------


@pytest.mark.network
def test_every_name_our_code_takes_exists_and_takes_the_call(sources: Sources) -> None:
    problems, names = [], set()
    for path in our_files():
        usage = usage_of(path, sources)
        names |= usage.names
        problems += usage.problems
    assert problems == []
    assert names >= SURELY_TAKEN, sorted(SURELY_TAKEN - names)


@pytest.mark.network
@pytest.mark.parametrize("path", sorted(TAKEN_UNSEEN))
def test_names_taken_out_of_sight_exist(path: str, sources: Sources) -> None:
    owner, _, name = path.rpartition(".")
    definition = sources.find(owner)
    assert definition is not None
    assert sources.member(definition, name) is not None
    assert name in (ROOT / TAKEN_UNSEEN[path]).read_text()


@pytest.mark.network
def test_every_device_class_has_a_name_of_ours(sources: Sources) -> None:
    module = "coremltools.models.compute_device"
    classes = {node.name for node in sources.tree(module).body if isinstance(node, ast.ClassDef)}
    assert classes - {"MLComputeDevice"} == set(placement._DEVICE_OF_CLASS)


@pytest.mark.network
def test_the_patched_gates_are_all_there_are(sources: Sources) -> None:
    """The simulated host answers for the system through two functions; no other gate may decide on a Mac."""
    for name in ("_is_macos", "_macos_version"):
        definition = sources.find(f"coremltools.models.utils.{name}")
        assert definition is not None
        signature = sources.signature(definition)
        assert signature is not None
        assert not signature.parameters
        assert name in (SIMULATED / "host.py").read_text()
    gates = re.compile(r"platform\.mac_ver|sys\.platform|platform\.system|_IS_MACOS\b")
    found = {m for m in sources.modules if gates.search(sources.text(m)) and "test" not in m}
    assert found == {
        "coremltools._deps",  # `_IS_MACOS`, for the below
        "coremltools.models.ml_program.experimental.compute_plan_utils",  # warns
        "coremltools.models.utils",  # the two functions
    }


# -- what is exercised here is what runs there -------------------------------------------------------------------------


@pytest.mark.network
def test_coremltools_has_the_same_python_sources_on_both(wheel: Path) -> None:
    assert different(wheel, "coremltools", ("coremltools/",)) == []


#: What of ExecuTorch stands between a module and its Core ML program, and runs the emitted one.
OF_EXECUTORCH = (
    "executorch/backends/apple/coreml/",
    "executorch/exir/",
    "executorch/runtime/",
    "executorch/extension/export_util/",
    "executorch/extension/pybindings/",
)


@pytest.mark.network
def test_executorch_has_the_same_python_sources_on_both(executorch: Path) -> None:
    assert different(executorch, "executorch", OF_EXECUTORCH) == []


def different(wheel: Path, package: str, folders: tuple[str, ...]) -> list[str]:
    """Python files under `folders` that are not the same in the wheel and in the installed distribution."""
    installed = {str(f): f for f in distribution(package).files or [] if f.suffix == ".py"}
    with zipfile.ZipFile(wheel) as archive:
        theirs = {name for name in archive.namelist() if name.endswith(".py") and name.startswith(folders)}
        ours = {name for name in installed if name.startswith(folders)}
        assert theirs, f"{package} has nothing under {folders}"
        same = {n for n in theirs & ours if archive.read(n) == Path(str(installed[n].locate())).read_bytes()}
    return sorted((theirs | ours) - same)


@pytest.mark.network
def test_the_macos_runtime_of_executorch_registers_core_ml(executorch: Path) -> None:
    with zipfile.ZipFile(executorch) as archive:
        libraries = [n for n in archive.namelist() if n.endswith((".so", ".dylib"))]
        holding = [n for n in libraries if b"CoreMLBackend\0" in archive.read(n)]
        assert [Path(n).name for n in holding] == ["libexecutorch_backend_coreml.dylib"]
        bindings = next(n for n in libraries if n.startswith("executorch/extension/pybindings/_C."))
        assert f"@rpath/{Path(holding[0]).name}".encode() in archive.read(bindings)


# -- the instruments, without a network --------------------------------------------------------------------------------

TOY = Sources(
    {
        "toy": "from .units import Unit, load\nfrom . import units as _units\n",
        "toy.units": """
from enum import Enum
from typing import List, Optional
class Unit(Enum):
    ALL = 1
class Plan:
    class Broken(Exception): ...
    def __init__(self, proxy): self._proxy = proxy
    @property
    def parts(self) -> "List[Part]": return []
    async def mend(self, how): ...
    @staticmethod
    def of(path: str, unit: Unit = Unit.ALL) -> Optional["Plan"]: ...
class Part:
    name: str
    def cost(self, *, exact: bool = False): ...
def load(path, unit): return Plan(None)
""",
    }
)
SOUND = """
import toy
from toy import Unit
from toy.units import Plan
class Ours:
    def __init__(self):
        self.plan = opened("x")
    def costs(self):
        for part in self.plan.parts:
            yield part.cost(exact=True), part.name, getattr(self.plan, "_proxy")
def opened(path):
    toy.load(path, unit=Unit["ALL"])
    return Plan.of(path)
async def mended(ours: Ours):
    try:
        mend = toy.units.Plan.mend
        await mend(Plan.of("x"), "y")
    except Plan.Broken:
        return Ours().plan.parts[0].name
"""


def test_a_sound_use_has_no_problem() -> None:
    usage = usage_in(SOUND, "ours.py", TOY)
    assert usage.problems == []
    assert {"toy.units.Plan.of", "toy.units.Plan.parts", "toy.units.Part.cost", "toy.units.Unit.ALL"} <= usage.names


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("from toy import Unit", "from toy import Levitate as Unit", "ours.py:3: toy has no toy.Levitate"),
        ("toy.load(", "toy.fetch(", "ours.py:12: toy has no toy.fetch"),
        (".parts:", ".pieces:", "ours.py:9: toy.units.Plan has no pieces"),
        ("part.name", "part.title", "ours.py:10: toy.units.Part has no title"),
        ('"_proxy")', '"_inner")', "ours.py:10: toy.units.Plan has no _inner"),
        ("exact=True", "precise=True", "got an unexpected keyword argument 'precise'"),
        ("unit=Unit", "device=Unit", "missing a required argument: 'unit'"),
        ("Plan.of(path)", "Plan.of()", "missing a required argument: 'path'"),
        ('Unit["ALL"]', 'Unit["NPU"]', "ours.py:12: toy.units.Unit has no NPU"),
        ("Plan.Broken", "Plan.Bent", "ours.py:18: toy.units.Plan has no Bent"),
        ('mend(Plan.of("x"), "y")', 'mend(Plan.of("x"))', "missing a required argument: 'how'"),
        ("[0].name", "[0].size", "ours.py:19: toy.units.Part has no size"),
    ],
)
def test_a_planted_use_is_found(before: str, after: str, said: str) -> None:
    assert before in SOUND
    problems = usage_in(SOUND.replace(before, after), "ours.py", TOY).problems
    assert len(problems) == 1
    assert said in problems[0]


@pytest.mark.network
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("def batchPredict(self", "def levitate(self", "_MLModelProxy.levitate: no such member"),
        ("class _State:", "class _StateOfMind:", "_StateOfMind: no such class"),
        ("def read_state(self, name: str)", "def read_state(self)", "_State.read_state: takes 1 arguments"),
        ("def compileModel(path: str)", "def compileModel(path: dict)", "_MLModelProxy.compileModel: does not take"),
        (
            "    @staticmethod\n    def compileModel(path",
            "    def compileModel(self, path",
            "_MLModelProxy.compileModel: a static, not a method",
        ),
    ],
)
def test_a_planted_difference_of_the_fake_is_found(
    before: str, after: str, said: str, real: dict[str, dict[str, native.Member]]
) -> None:
    text = FAKE.read_text()
    assert before in text
    found = proxies.differences(proxies.offered(text.replace(before, after)), real)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.network
def test_what_the_fake_stops_offering_is_found(sources: Sources) -> None:
    text = FAKE.read_text().replace("def newState(self)", "def _newState(self)")
    found = proxies.unanswered(
        proxies.asked(sources), proxies.offered(text), {"_MLComputePlanProxy.model_structure": ""}
    )
    assert [line.partition(": ")[2] for line in found] == ["_MLModelProxy.newState is not offered"] * 2


def test_another_binary_is_not_misread() -> None:
    with pytest.raises(native.NotReadable, match="no 64-bit Mach-O file for arm64"):
        native.registered(b"\x7fELF" + bytes(64))


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("WARNING: Retrying after connection broken by 'NewConnectionError(...)'", "NewConnectionError"),
        ("ERROR: 503 Server Error: Service Unavailable", "503 Server Error"),
        ("ERROR: Could not find a version that satisfies x==9 (from versions: none)", None),
        (
            "Retrying ... NameResolutionError\nERROR: Could not find a version ... (from versions: none)",
            "NameResolutionError",
        ),
        ("ReadTimeoutError\nERROR: Could not find a version that satisfies x==9 (from versions: 8.3)", None),
        ("/usr/bin/python: No module named pip", None),
    ],
)
def test_only_an_index_out_of_reach_is_a_reason_to_skip(stderr: str, reason: str | None) -> None:
    assert unreachable(stderr) == reason
