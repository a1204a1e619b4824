"""The runner app of coremltools on a connected device: built, installed and started once, then asked.

`coremltools.models.ml_program.experimental.remote_device` (9.0) is asynchronous and speaks JSON-RPC with the app over
files that `devicectl` copies. What is done differently from its own `load_on_device`, and why:

- a request waits as long as the check's deadline, not for 20 attempts: compiling for the Neural Engine takes longer;
- whether the app still runs is asked of the process: `_DeviceCtlSocket.is_alive` gives a bound method, always true;
- a model is unloaded explicitly: its destructor makes a coroutine that nobody awaits;
- an operator with several outputs keeps its placement: the app names the first, `_MLComputePlanRemoteProxy` the last;
- of three outputs or more, each is read to its end: the app gives as its size that of everything before it, too;
- what `xcodebuild` printed is kept: `_AppBuilder.Error` has only its exit code.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import importlib.metadata
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from harness.evidence.vocabulary import HarnessError
from harness.units import devicectl
from harness.units.base import LoadFailed, NotRunnable, PredictFailed, UnitDied
from harness.units.devicectl import ConnectedDevice, DevicesUnknown, Signing

#: Seconds within which an app that cannot be started says so.
_SETTLE = 2.0
#: Seconds to wait for another process to let go of the device.
_PATIENCE = 20.0
#: Seconds between looks for an answer; each look costs a `devicectl` of its own.
_POLL = 0.2
#: Looks for an answer before giving up: more than the longest deadline of a check allows.
_LOOKS = 3600
_BYTES = {"Float16": 2, "Float32": 4, "Float64": 8, "Int32": 4}
#: Errors of xcodebuild worth telling, and how many.
_BUILD_ERROR = re.compile(r"^.*?error: (.*)$", re.MULTILINE)
_BUILD_ERRORS = 3


def make_preparer() -> Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], dict[str, Any]]:
    """The handler of `harness.process.preparing.prepare_device`: start the app, which builds it, and end it."""

    def handle(request: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        try:
            connect(request["device"], lambda text: send({"show": text})).close()
        except NotRunnable as error:
            raise HarnessError(str(error)) from None
        return {}

    return handle


# -- one app for each process and device --------------------------------------------------------------------------

_running: dict[str, RunnerApp] = {}
_failed: dict[str, str] = {}


def connect(name: str, show: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> RunnerApp:
    """The running app on the device of a name; started when there is none. Raises `NotRunnable`.

    What could not be prepared is not tried again in this process: building takes minutes.
    """
    app = _running.get(name)
    if app is not None and app.is_alive():
        return app
    if name in _failed:
        raise NotRunnable(_failed[name])
    if app is not None:
        _running.pop(name).close()
    try:
        device = devicectl.reach(devicectl.find(name, devicectl.devices(anew=True)))
    except DevicesUnknown as error:  # it may come back
        raise NotRunnable(str(error)) from None
    try:
        app = _running[name] = RunnerApp.start(device, devicectl.signing(), show)
    except DevicesUnknown as error:
        _failed[name] = str(error)
        raise NotRunnable(str(error)) from None
    return app


def _close_all() -> None:
    while _running:
        _running.popitem()[1].close()


atexit.register(_close_all)


class RunnerApp:
    """The app, started on one device by this process, and the event loop its requests run in."""

    def __init__(
        self, found: ConnectedDevice, device: Any, stack: contextlib.ExitStack, runner: asyncio.Runner
    ) -> None:
        self.found = found
        self._device = device
        self._stack, self._runner = stack, runner

    @classmethod
    def start(cls, found: ConnectedDevice, signing: Signing, show: Callable[[str], None]) -> RunnerApp:
        """Build (unless done before, in another process or run), install and start. Raises `DevicesUnknown`."""
        from coremltools.models.ml_program.experimental import remote_device

        known = {device.udid: device for device in remote_device.Device.get_devices()}
        if found.udid not in known:
            raise DevicesUnknown(f"coremltools does not list {found.describe()}")
        credentials = remote_device.AppSigningCredentials(
            development_team=signing.team,
            provisioning_profile_uuid=signing.profile,
            bundle_identifier=signing.bundle,
        )
        folder = _folder(signing)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_alone(found, folder))
            runner = stack.enter_context(asyncio.Runner())
            with _build_output(remote_device) as output:
                built = next(folder.rglob(f"{found.udid}/**/*.app"), None) is not None
                show(f"{found.describe()}: {'starting' if built else 'building'} the runner app of coremltools")
                started = time.monotonic()
                # A built app whose signature is no longer valid does not install: then it is built anew, once.
                for clean in (False, True) if built else (False,):
                    try:
                        device = _quietly(
                            runner, known[found.udid].prepare_for_model_debugging(credentials, folder, clean)
                        )
                        break
                    except remote_device._DeviceCtlError as error:
                        if clean or not built:
                            raise DevicesUnknown(f"installing the runner app failed: {words(error)}") from error
                    except (remote_device._AppBuilder.Error, ValueError) as error:
                        raise DevicesUnknown(_build_failure(error, output)) from error
            stack.callback(_end, device.session)
            app = cls(found, device, stack, runner)
            app._settle()
            show(f"{found.describe()}: ready after {time.monotonic() - started:.0f} s")
            app._stack = stack.pop_all()
        return app

    def _settle(self) -> None:
        """An app that cannot start (locked device, untrusted signature) ends `devicectl` at once, with the reason."""
        until = time.monotonic() + _SETTLE
        while time.monotonic() < until:
            if not self.is_alive():
                _, stderr = self._device.session._process.communicate()
                reason = devicectl.last_error(stderr.decode(errors="replace")) or "it ended at once, without a word"
                raise DevicesUnknown(f"the runner app does not start on {self.found.name}: {reason}")
            time.sleep(0.1)

    def is_alive(self) -> bool:
        return self._device.session.is_alive()

    def load(self, compiled: Path, compute_unit: Any, function: str | None) -> RemoteModel:
        """Send a compiled model and load it there. Raises `LoadFailed`, `NotRunnable` and `UnitDied`."""
        from coremltools.models.ml_program.experimental import remote_device

        socket_class, service_class = _repaired(remote_device)

        async def load() -> Any:
            socket = socket_class(device=self._device, source="Documents/modelrunnerd")
            service = service_class(socket, poll_time=_POLL, max_attempts=_LOOKS)
            model = remote_device._RemoteMLModelService(service, compiled, compute_unit, function)
            await model.load()
            return model

        return RemoteModel(self, self.ask(load(), LoadFailed, "loading"), compiled)

    def ask(self, request: Coroutine[Any, Any, Any], failure: type[Exception], doing: str) -> Any:
        """Run a request to its end. An error that the app answers with is Core ML's and raises `failure`; an app that
        died with its request raises `UnitDied`; a device that is gone or silent raises `NotRunnable`."""
        from coremltools.models.ml_program.experimental.remote_device import _DeviceCtlError

        if not self.is_alive():
            request.close()
            raise UnitDied(f"the runner app on {self.found.name} is no longer there for {doing}")
        try:
            return _quietly(self._runner, request)
        except _DeviceCtlError as error:
            if isinstance(error.error_code, int) and error.error_code < 0:  # of JSON-RPC; exit codes are positive
                raise failure(words(error)) from error
            if not devicectl.still_there(self.found):
                raise NotRunnable(f"the connection to {self.found.name} was lost while {doing}") from error
            if not self.is_alive():
                raise UnitDied(f"the runner app on {self.found.name} died while {doing}") from error
            raise NotRunnable(f"{self.found.name} did not answer while {doing}: {words(error)}") from error

    def close(self) -> None:
        """End the app and the loop; nothing of them is left in this process."""
        self._stack.close()


def _end(session: Any) -> None:
    session.stop()
    with contextlib.suppress(subprocess.TimeoutExpired):
        session._process.communicate(timeout=5)
    shutil.rmtree(session.working_directory, ignore_errors=True)


class RemoteModel:
    """A model loaded on the device, with the interface of a local one."""

    def __init__(self, app: RunnerApp, model: Any, compiled: Path) -> None:
        self._app, self._model, self._compiled = app, model, compiled
        self._data: Path | None = None
        model._prepare_data_for_transfer = self._keep_data  # it leaves its file behind

    def _keep_data(self, values: dict[str, np.ndarray]) -> tuple[dict[str, Any], Path]:
        described, self._data = type(self._model)._prepare_data_for_transfer(values)
        return described, self._data

    def predict(self, data: dict[str, np.ndarray], state: None = None) -> dict[str, np.ndarray]:
        """Raises `PredictFailed`, `NotRunnable` and `UnitDied`."""
        if not any(array.size for array in data.values()):
            raise NotRunnable("the runner app of coremltools does not predict from empty inputs alone")
        try:
            return self._app.ask(self._model.predict(data), PredictFailed, "predicting")
        finally:
            if self._data is not None:
                self._data.unlink(missing_ok=True)

    def compute_plan(self) -> Any:
        """`MLComputePlan` of the loaded model on the device. Raises `RuntimeError`, `NotRunnable` and `UnitDied`."""
        from coremltools.models.compute_plan import MLComputePlan, MLModelStructure
        from coremltools.models.ml_program.experimental import compute_plan_utils
        from coremltools.models.ml_program.experimental.model_structure_path import map_model_structure_to_path

        plan = self._app.ask(self._model.retrieve_compute_plan(), RuntimeError, "planning")
        structure = MLModelStructure.load_from_path(str(self._compiled))
        proxy = compute_plan_utils._MLComputePlanRemoteProxy(self._app.found, plan, structure)
        paths = map_model_structure_to_path(structure, [])
        proxy._model_path_map = {id(operation): path for operation, path in reversed(paths)}
        return MLComputePlan(proxy)

    def close(self) -> None:
        """Unload, as far as the device still answers."""
        state = type(self._model).State
        with contextlib.suppress(RuntimeError, NotRunnable, UnitDied):
            if self._app.is_alive() and self._model._state is state.Loaded:
                self._app.ask(self._model.unload(), RuntimeError, "unloading")
        self._model._state = state.Unloaded
        shutil.rmtree(self._model._service.socket.working_directory, ignore_errors=True)


def words(error: Any) -> str:
    """The message of a `_DeviceCtlError`, which is sometimes bytes, on one line."""
    message = getattr(error, "message", None)
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message or error)
    return " ".join((devicectl.last_error(text) if isinstance(message, bytes) else text).split())


def _quietly(runner: asyncio.Runner, request: Coroutine[Any, Any, Any]) -> Any:
    """Without the progress bars, two for each request."""
    with contextlib.redirect_stderr(io.StringIO()):
        return runner.run(request)


def _repaired(remote_device: Any) -> tuple[Any, Any]:
    """The classes of socket and service, without the defects named above."""

    class Socket(remote_device._DeviceCtlSocket):
        @property
        def is_alive(self) -> bool:
            return self.device.session.is_alive()

    class Service(remote_device._DeviceCtlRemoteService):
        async def call_method(self, name: str, params: Any, resource: Path | None = None) -> tuple[Any, Path | None]:
            result, file = await super().call_method(name, params, resource)
            for tensor in result.get("outputs", {}).values():
                tensor["storage"]["size"] = _extent(tensor)
            return result, file

    return Socket, Service


def _extent(tensor: dict[str, Any]) -> int:
    """Bytes from the first to the last element of an output as the app describes it."""
    if 0 in tensor["shape"]:
        return 0
    elements = 1 + sum((size - 1) * stride for size, stride in zip(tensor["shape"], tensor["strides"], strict=True))
    return elements * _BYTES[tensor["dataType"]]


# -- building -----------------------------------------------------------------------------------------------------


def _folder(signing: Signing) -> Path:
    """Where the app is built and kept: by version of coremltools and signer, so that it is built once for a device."""
    import platformdirs

    version = importlib.metadata.version("coremltools")
    root = Path(platformdirs.user_cache_dir("coreml-harness"))
    if re.search(r"[^\w./@%+=:,-]", str(root)):  # coremltools pastes it into shell commands, unquoted
        root = Path(tempfile.gettempdir()) / "coreml-harness"
    folder = root / "device-runner" / f"coremltools-{version}-{signing.bundle}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _alone(found: ConnectedDevice, folder: Path) -> Iterator[None]:
    """One process has the device: installing ends the app of another. Raises `DevicesUnknown`."""
    until = time.monotonic() + _PATIENCE
    with (folder / f"{found.udid}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise DevicesUnknown(
                        f"{found.name} is in use by another process: {devicectl.ONE_PROCESS}"
                    ) from None
                time.sleep(0.2)
        yield


@contextlib.contextmanager
def _build_output(remote_device: Any) -> Iterator[list[str]]:
    """What the commands of coremltools print while the app is built."""
    output: list[str] = []

    def run(command: str, **options: Any) -> Any:
        done = subprocess.run(command, **options)
        if command.startswith("xcodebuild"):
            output.append((done.stdout or b"").decode(errors="replace"))
        return done

    original = remote_device._subprocess
    remote_device._subprocess = SimpleNamespace(**{**vars(subprocess), "run": run})
    try:
        yield output
    finally:
        remote_device._subprocess = original


def _build_failure(error: Exception, output: list[str]) -> str:
    errors = list(dict.fromkeys(match.strip() for match in _BUILD_ERROR.findall("\n".join(output))))
    said = "; ".join(errors[:_BUILD_ERRORS]) or words(error)
    return (
        f"building the runner app failed: {said} (Xcode > Settings > Accounts has the teams; "
        f"{devicectl.TEAM_VARIABLE} and {devicectl.BUNDLE_VARIABLE} choose)"
    )
