"""ExecuTorch's own backend test suite, `executorch.backends.test.suite`, and whole checks, on the same models.

    python benchmarks/child.py benchmarks.bench_peer SIDE --tests N [--block I/N]

SIDE is `peer`, `one` (a check of each model, `fp16-ios18`) or `both` (two checks, both default recipes). Each is a
process of its own and collects the suite's operator tests of its flow `coreml`; `peer` runs them as they are, the
others take the module and the inputs a test hands over, and check them. One model of a test is measured, its first:
the suite's tests end with their first model that fails, as all that are delegated do where Core ML cannot run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import RECIPES, SEED, block, evenly, get_ready
from benchmarks.section import Findings, Goal, Section, Table, shown
from benchmarks.sizes import Size
from benchmarks.spread import Spread, figures, quartiles, ratio, times
from benchmarks.store import Measurement

MODULE = "benchmarks.bench_peer"
FLOW = "coreml"
SUITE = "executorch.backends.test.suite"
#: The recipe in the precision of the peer's flow, and both.
SIDES: dict[str, tuple[str, ...]] = {"peer": (), "one": ("fp16-ios18",), "both": RECIPES}
WANTED = 6.0
NOT_COUNTED = (
    "imports and a first lowering, of the checks also collecting the peer's tests and preparing what is shared"
)


class Tests:
    """A pytest plugin: chooses tests of the peer. The first model of each runs as the peer does, and is measured; or is
    only collected, with its inputs.
    """

    __test__ = False

    def __init__(self, tests: int, number: int, of: int, *, collect: bool) -> None:
        self.tests, self.number, self.of, self.collect = tests, number, of, collect
        self.measured: dict[str, dict[str, Any]] = {}
        self.collected: dict[str, tuple[Any, Any]] = {}

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        ours = [item for item in items if getattr(item, "callspec", None) and item.callspec.params.get("test_runner")]
        ours = [item for item in ours if self._is_of_flow(item)]
        ours.sort(key=lambda item: item.nodeid)
        items[:] = block(evenly(ours, self.tests), self.number, self.of)

    @staticmethod
    def _is_of_flow(item: Any) -> bool:
        flow = item.callspec.params["test_runner"]
        return flow.name == FLOW and not flow.should_skip_test(item.originalname, item.callspec.params)[0]

    def pytest_runtest_setup(self, item: Any) -> None:
        import torch

        torch.manual_seed(SEED)  # the weights and inputs a test draws are the same on each side

    def take(self, run_test: Callable[..., Any]) -> Callable[..., Any]:
        """What stands in for the peer's `run_test`."""
        import pytest

        def replaced(model: Any, inputs: Any, flow: Any, test_name: str, *others: Any, **named: Any) -> Any:
            if test_name in self.measured or test_name in self.collected:
                pytest.skip("one model of a test is measured")
            if self.collect:
                self.collected[test_name] = model, inputs
                pytest.skip("collected")
            return self.run_peer(run_test, model, inputs, flow, test_name, *others, **named)

        return replaced

    def run_peer(
        self, run_test: Callable[..., Any], model: Any, inputs: Any, flow: Any, name: str, *others: Any, **named: Any
    ) -> Any:
        from executorch.backends.test.harness import Tester

        lowering = 0.0

        def timed(method: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal lowering
                started = time.process_time()
                try:
                    return method(*arguments, **options)
                finally:
                    lowering += time.process_time() - started

            return call

        before = Tester.export, Tester.to_edge_transform_and_lower
        Tester.export, Tester.to_edge_transform_and_lower = map(timed, before)
        started = time.process_time()
        try:
            summary = run_test(model, inputs, flow, name, *others, **named)
        finally:
            Tester.export, Tester.to_edge_transform_and_lower = before
        self.measured[name] = {
            "seconds": time.process_time() - started,
            "lowering": lowering,
            # Counted only of what was lowered.
            "lowered": summary.undelegated_op_counts is not None,
            "outcome": summary.result.name,
        }
        return summary


def checking(recipes: Sequence[str]) -> Callable[[str, Any, Any], dict[str, Any]]:
    """Makes whole checks of a model and its inputs on the reference unit, nothing cached."""
    from harness.cases.case import Built, Case
    from harness.check import Checker
    from harness.evidence.check import Check
    from harness.evidence.recipe import Recipe
    from harness.evidence.vocabulary import UNJUDGED, Kind, Level, Phase
    from harness.lowering import speedups

    speedups.enable()
    checker = Checker()
    parsed = [Recipe.parse(name) for name in recipes]

    def work(name: str, model: Any, inputs: Any) -> dict[str, Any]:
        model, inputs = of_tensors(model.eval(), inputs)
        case = Case(
            id=f"peer/{name}",
            kind=Kind.OPERATOR,
            op=f"peer.{name}",
            api=name,
            dtype="float32",
            origin=SUITE,
            level=Level.SMOKE,
            build=lambda: Built(model, inputs, SEED),
        )
        started = time.process_time()
        try:
            records = [checker.check(Check.of(case, recipe, "reference")) for recipe in parsed]
        except Exception as error:  # one model must not cost the others
            return {"seconds": time.process_time() - started, "lowered": False, "outcome": type(error).__name__}
        seconds = time.process_time() - started
        judged = all(r.outcome not in UNJUDGED and r.phase in (Phase.SHAPE, Phase.DTYPE, Phase.VALUE) for r in records)
        return {"seconds": seconds, "lowered": judged, "outcome": " ".join(str(r.outcome) for r in records)}

    return work


def of_tensors(model: Any, inputs: Any) -> tuple[Any, tuple[Any, ...]]:
    """The model with each tensor an input of its own, as a case has it; itself where that is so already."""
    import torch
    from torch.utils._pytree import tree_flatten, tree_unflatten

    leaves, spec = tree_flatten(tuple(inputs))
    if all(isinstance(value, torch.Tensor) for value in inputs):
        return model, tuple(inputs)

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, *tensors: Any) -> Any:
            return self.inner(*tree_unflatten(tensors, spec))

    return Flat().eval(), tuple(leaves)


def sine() -> tuple[Any, Any]:
    """The model that warms up."""
    import torch

    class Sine(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.sin(x)

    return Sine(), (torch.randn(2, 3),)


def measure(side: str, tests: int, number: int, of: int) -> dict[str, Any]:
    """One side, in this process: seconds of processor by test, and of getting ready."""
    get_ready()
    runner: Any = importlib.import_module(f"{SUITE}.runner")
    run_test, operators = runner.run_test, Path(runner.__file__).parent / "operators"
    models = Tests(tests, number, of, collect=side != "peer")
    runner.run_test = models.take(run_test)  # before the suite's conftest.py takes it from there
    if side == "peer":
        flow = importlib.import_module(f"{SUITE}.flows.coreml").COREML_TEST_FLOW
        models.run_peer(run_test, *sine(), flow, "warm up", "warm up", 0, None)
        models.measured.clear()
        ready = time.process_time()
        run_pytest(operators, models)
        return {"ready": ready, "models": models.measured}
    run_pytest(operators, models)
    check = checking(SIDES[side])
    check("warm up", *sine())
    ready = time.process_time()
    return {"ready": ready, "models": {name: check(name, *model) for name, model in models.collected.items()}}


def run_pytest(folder: Path, plugin: Tests) -> None:
    """The peer's tests as its users run them, but that pytest keeps no log, which costs each lowering a tenth."""
    import pytest

    arguments = ["-c", os.devnull, "--rootdir", str(folder), "-q", "--tb=no"]
    arguments += ["-p", "no:cacheprovider", "-p", "no:logging", str(folder)]
    with tempfile.TemporaryDirectory() as elsewhere, contextlib.chdir(elsewhere):
        code = pytest.main(arguments, plugins=[plugin])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(f"{SUITE}: pytest ended with {code}")


def plan(size: Size) -> list[Measurement]:
    """Blocks of tests, every block by each side, the order of the sides turning from block to block."""
    sides = list(SIDES)
    return [
        Measurement(
            "peer",
            f"{number}-{side}",
            MODULE,
            (side, "--tests", str(size.peer_tests), "--block", f"{number + 1}/{size.peer_blocks}"),
        )
        for number in range(size.peer_blocks)
        for side in sides[number % 3 :] + sides[: number % 3]
    ]


def summarise(results: Mapping[str, Any]) -> Findings:
    """Over the models that every side lowered."""
    by_side: dict[str, dict[str, Any]] = {side: {} for side in SIDES}
    ready: dict[str, list[float]] = {side: [] for side in SIDES}
    for name, result in results.items():
        side = name.partition("-")[2]
        by_side[side] |= result["models"]
        ready[side].append(result["ready"])
    peer = by_side["peer"]
    tried = [model for model in peer if all(model in models for models in by_side.values())]
    common = [model for model in tried if all(models[model]["lowered"] for models in by_side.values())]
    if not common:
        return Findings((), notes=(f"Of {len(tried)} models none was lowered by every side.",))
    ran = sorted({peer[model]["outcome"] for model in common})

    def rate(seconds: Sequence[float], checks: int) -> str:
        return figures(checks * len(common) / sum(seconds))

    rows: list[tuple[str, ...]] = []
    ratios: dict[tuple[str, str], Spread] = {}
    for label, key in (("a test of the peer", "seconds"), ("of it export and lowering alone", "lowering")):
        spent = [peer[model][key] for model in common]
        rows.append((f"peer: {label}", str(len(common)), rate(spent, 1), "", ""))
        for side, recipes in list(SIDES.items())[1:]:
            pairs = [(seconds, by_side[side][model]["seconds"]) for seconds, model in zip(spent, common, strict=True)]
            ratios[side, key] = times(ratio(pairs), len(recipes))
    for side, recipes in list(SIDES.items())[1:]:
        spent = [by_side[side][model]["seconds"] for model in common]
        checks = len(recipes) * len(common)
        beside = (shown(ratios[side, key]) for key in ("seconds", "lowering"))
        rows.append((f"whole checks, {' and '.join(recipes)}", str(checks), rate(spent, len(recipes)), *beside))
    head = ("", "lowered or checked", "per CPU-second", "times the peer's tests", "times the peer's lowering")
    single = {
        side: quartiles([len(recipes) * peer[model]["seconds"] / by_side[side][model]["seconds"] for model in common])
        for side, recipes in list(SIDES.items())[1:]
    }
    goals = tuple(
        Goal(f"checks per CPU-second, {words}, of models the peer lowers", "at least", WANTED, ratios[side, "seconds"])
        for side, words in (("one", "one precision"), ("both", "both precisions"))
    )
    seconds = ", ".join(f"{side} {figures(sum(taken) / len(taken))}" for side, taken in ready.items())
    of_each = ", ".join(f"{side} {shown(spread)}" for side, spread in single.items())
    notes = (
        f"{len(tried)} models tried; the {len(common)} that every side lowered count.",
        f"Of a single model, quartiles of times the peer's test: {of_each}.",
        f"How the peer's tests of these ended: {', '.join(f'`{name}`' for name in ran)}.",
        f"Not counted, CPU-seconds of a process until it is ready: {seconds}; {NOT_COUNTED}.",
    )
    return Findings((Table(head, tuple(rows)),), goals, notes)


SECTION = Section(
    name="peer",
    title="ExecuTorch's backend test suite",
    wanted=(f"checks per CPU-second: at least {WANTED:g} times the models the peer lowers per CPU-second",),
    plan=plan,
    summarise=summarise,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--tests", type=int, default=30, help="of the peer's operator tests (default 30)")
    parser.add_argument("--block", default="1/1", help="I/N: the I-th of N blocks of them")
    options = parser.parse_args(arguments)
    number, of = map(int, options.block.split("/"))
    print(json.dumps(measure(options.side, options.tests, number - 1, of)))
