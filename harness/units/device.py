"""A connected iPhone or iPad, driven from a Mac through coremltools' remote-device tools.

The program is compiled on the Mac, sent to the runner app on the device, loaded there for a compute unit and asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.evidence.unit import UnitSpec
from harness.lowering.program import UnpackedDelegate
from harness.units import devicectl, host, runner_app
from harness.units.base import NotRunnable, UnitDied
from harness.units.coreml import OpenCoreML, _compiled, _describe
from harness.units.placement import DEVICES, Placement, read_plan
from harness.units.whole_program import DelegateUnit

#: Part of the reason why a program with state is not run: the app makes one state at load, which nobody can reset.
STATE = "a program with state: coremltools' device tools offer no state"


class DeviceUnit(DelegateUnit):
    """The device of a name, in developer mode, connected to a Mac with Xcode."""

    def __init__(self, unit: UnitSpec) -> None:
        self.unit = unit

    def unavailable(self, target: str) -> str | None:
        """Why this unit cannot run a program for `target` here; None when it can."""
        return devicectl.unavailable(self.unit, target)

    def open(self, delegate: UnpackedDelegate) -> OpenOnDevice:
        """Compile here (once for each package) and load there; the first time the runner app is started.

        Raises `NotRunnable` where the device cannot be used or has gone, `ProgramContradiction` when metadata and
        description disagree, `LoadFailed` with Core ML's message when it refuses the package.
        """
        if reason := devicectl.unavailable(self.unit, None):
            raise NotRunnable(reason)
        description = _describe(delegate)
        if description.states:
            raise NotRunnable(STATE)
        compiled = _compiled.acquire(delegate.package)
        try:
            app = runner_app.connect(self.unit.device)
            return OpenOnDevice(self.unit.core_ml_unit, description, compiled, app)
        except BaseException:
            _compiled.release(compiled)
            raise


class OpenOnDevice(OpenCoreML):
    """A package loaded on the device. What crosses the boundary, and how often, is as on the Mac."""

    def __init__(self, compute_unit: str, description: Any, compiled: Any, app: runner_app.RunnerApp) -> None:
        self._app = app
        super().__init__(compute_unit, description, compiled)

    def _load(self, compiled: Any) -> runner_app.RemoteModel:
        return self._app.load(compiled.path, self._compute_unit, self._function)

    def _placed(self, compiled: Any) -> Placement:
        if self._app.found.ios < devicectl.MINIMUM_IOS_FOR_PLAN:
            return Placement(unknown=f"a compute plan needs iOS {host.dotted(devicectl.MINIMUM_IOS_FOR_PLAN)} or later")
        try:
            return read_plan(self._model.compute_plan(), self._function, self._program)
        except UnitDied as error:
            # Where a program would run is not worth the check: it goes on in a new app.
            self._model.close()
            self._app = runner_app.connect(self._app.found.name)
            self._model = self._load(compiled)
            return Placement(unknown=f"asking for the compute plan ended the app: {error}")
        except Exception as error:
            return Placement(unknown=f"the compute plan failed to load: {error}")

    def _devices(self) -> Sequence[str]:
        return DEVICES if self._app.found.has_ane else DEVICES[:-1]

    def close(self) -> None:
        """Unload on the device. The app goes on running for the next package."""
        if self._compiled is not None:
            self._model.close()
        super().close()
