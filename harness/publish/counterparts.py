"""Which environment of one set of records is compared with which of another.

Versions change from release to release, and the environment's id with them. What stays is the system, the machine, on
a Mac its chip, the devices connected to it, and whether it is simulated. A Linux machine's chip decides no outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.evidence.files import is_simulated
from harness.evidence.vocabulary import HarnessError
from harness.publish.environments import is_mac, system_name

Blocks = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Counterparts:
    """Pairs of ids, the baseline's first, and those of each side that have none."""

    pairs: tuple[tuple[str, str], ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]


def machine_of(block: Mapping[str, Any]) -> tuple[Any, ...]:
    """What an environment keeps from release to release."""
    devices = sorted(str(device.get("model", "")) for device in (block.get("connected") or {}).values())
    chip = str(block.get("chip", "")) if is_mac(dict(block)) else ""
    system = system_name(dict(block)).split(" ", 1)[0]
    return system, str(block.get("machine", "")), chip, tuple(devices), is_simulated(dict(block))


def counterparts(baseline: Blocks, candidate: Blocks) -> Counterparts:
    """Raises `HarnessError` where more than one environment would fit another.

    The same id is the counterpart before all others, then the same machine with the same release of its system, then
    the same machine.
    """
    pairs = [(name, name) for name in sorted(baseline.keys() & candidate.keys())]
    left = {name: block for name, block in baseline.items() if name not in candidate}
    right = {name: block for name, block in candidate.items() if name not in baseline}
    for key in (lambda block: (machine_of(block), system_name(dict(block))), machine_of):
        for name in sorted(left):
            fits = [other for other in sorted(right) if key(right[other]) == key(left[name])]
            rivals = [other for other in sorted(left) if key(left[other]) == key(left[name])]
            if len(fits) == 1 and len(rivals) == 1:
                pairs.append((name, fits[0]))
                del left[name], right[fits[0]]
            elif fits:
                raise HarnessError(
                    f"environments {', '.join(rivals)} of the baseline and {', '.join(fits)} of the candidate "
                    "are of the same machine: compare files that hold one each"
                )
    return Counterparts(tuple(sorted(pairs)), tuple(sorted(left)), tuple(sorted(right)))
