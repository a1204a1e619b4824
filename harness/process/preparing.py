"""What a unit needs that takes longer than a check may: the runner app on a connected device.

Import-cheap: coremltools is loaded in the child alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HarnessError, Unit
from harness.process.child import Child, ChildDied, ChildRaised, ChildRefused
from harness.units import devicectl
from harness.units.registry import devices_of

#: Seconds for building, signing, installing and starting the runner app, beside the deadlines of checks.
PREPARE_DEADLINE = 900.0
PREPARER = "harness.units.runner_app:make_preparer"


def prepare(units: Iterable[UnitSpec], show: Callable[[str], None], processes: int = 1) -> None:
    """What takes longer than a check may: the runner app of the connected devices among the units that can run.

    Raises `HarnessError` when one cannot be prepared, or is to be asked by several processes.
    """
    for device in devices_of(units):
        if processes > 1:
            raise HarnessError(f"unit {Unit.DEVICE}:{device}: {devicectl.ONE_PROCESS}")
        prepare_device(device, show)


def prepare_device(name: str, show: Callable[[str], None]) -> None:
    """Build, install and start the runner app on the device of a name, before any check's deadline runs.

    Works in a child process, because coremltools is loaded for it. Raises `HarnessError` when it cannot be done.
    """
    child = Child(PREPARER)
    try:
        child.call({"device": name}, PREPARE_DEADLINE, lambda message: show(message["show"]))
    except ChildRefused as error:
        raise HarnessError(str(error)) from None
    except ChildDied as error:
        said = error.stderr.strip().splitlines()[:1]
        raise HarnessError(": ".join([f"preparing {name} ended with {error.how}", *said])) from None
    except ChildRaised as error:
        raise HarnessError(f"preparing {name} failed: {error}") from None
    finally:
        child.close()
