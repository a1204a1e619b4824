"""The second pytest plugin: hypothesis explores the axes of each operator and shrinks what it finds.

At level `full`, or wherever `--explore N` says so, a suite's test that takes the fixture `explore` becomes one item for
each operator, recipe and unit: N calls are drawn from one seed, each is a check, and a failure that no described cause
explains is shrunk to a minimal call. What is printed reproduces it: the seed draws the same calls again, and the id
holds the call itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.cases.case import Case
from harness.evidence.check import Check
from harness.evidence.known_issues import describe
from harness.evidence.record import Record
from harness.evidence.vocabulary import WORKING, HarnessError, Level, Outcome, Phase
from harness.plugin.refusal import one_line
from harness.plugin.run import run_of

#: Calls drawn for each operator at level `full` when `--explore` says nothing.
AT_FULL = 12
_SEED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("coreml-harness")
    group.addoption(
        "--explore",
        metavar="N",
        help=f"calls that hypothesis draws for each operator, from --hypothesis-seed; default: {AT_FULL} at level full",
    )


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--hypothesis-seed", None)
    inherited = getattr(config, "workerinput", {}).get("explore_seed")
    with one_line():
        config.stash[_SEED] = inherited if inherited is not None else parse_seed(given)
        examples(config)


def parse_seed(text: str | None) -> int:
    """The seed asked for, or one drawn now; raises `HarnessError`."""
    if text is None:
        return random.SystemRandom().randrange(2**32)
    try:
        return int(text)
    except ValueError:
        raise HarnessError(f"--hypothesis-seed {text}: expected a whole number") from None


def examples(config: pytest.Config) -> int:
    """How many calls each operator gets, 0 where nothing is explored; raises `HarnessError`."""
    text = config.getoption("--explore")
    if text is None:
        return AT_FULL if config.getoption("--level") == Level.FULL else 0
    if not text.isdecimal():
        raise HarnessError(f"--explore {text}: expected a number of calls")
    return int(text)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["explore_seed"] = node.config.stash[_SEED]


def pytest_report_header(config: pytest.Config) -> str | None:
    count = examples(config)
    seed = config.stash[_SEED]
    return f"exploring: {count} calls an operator, --hypothesis-seed={seed} draws them again" if count else None


def pytest_ignore_collect(collection_path: Any, config: pytest.Config) -> bool | None:
    """A suite file of explorations is no file of a run that explores nothing."""
    return True if collection_path.name == "test_explore.py" and not examples(config) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "explore" not in metafunc.fixturenames:
        return
    from harness.cases.case import matches_op
    from harness.cases.generated import explorable

    selection = run_of(metafunc.config).selection
    index, count = selection.shard
    cases = [c for c in explorable() if not selection.ops or any(matches_op(c, glob) for glob in selection.ops)]
    parameters = [
        pytest.param(Check(case, recipe, unit), id=f"{case.op}@{recipe.name}@{unit}")
        for case in cases[index - 1 :: count]
        for recipe in selection.recipes_of(case)
        for unit in selection.units
    ]
    metafunc.parametrize("explore", parameters, indirect=True)


class Found(Exception):
    """An explored call whose outcome no described cause explains."""

    def __init__(self, record: Record) -> None:
        super().__init__(record.check_id)
        self.record = record


@pytest.fixture
def explore(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Call it: draws calls of one operator, checks each, and fails with the smallest that is a new finding."""
    one: Check[Case] = request.param
    case = one.case
    run = run_of(request.config)
    seed, count = request.config.stash[_SEED], examples(request.config)

    def run_exploration() -> None:
        import hypothesis
        from hypothesis.errors import Unsatisfiable

        from harness.cases.calls import parse
        from harness.cases.explore import drawn_calls
        from harness.cases.generated import explored
        from harness.cases.index.generated import signature_of

        start = parse(case.call)
        causes = run.causes(request.path)

        @hypothesis.settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            suppress_health_check=list(hypothesis.HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )
        @hypothesis.seed(f"{seed} {case.op}")
        @hypothesis.given(drawn_calls(start, signature_of(case.op)))
        def check_one(call: Any) -> None:
            record = causes.name(run.unrecorded(replace(one, case=explored(str(call)))))
            if refused(record):
                hypothesis.reject()
            if is_new(record):
                raise Found(record)

        found: Found | None = None
        with one_line(worker=run.is_worker):
            try:
                check_one()
            except Unsatisfiable:
                pytest.skip("eager PyTorch takes none of the calls drawn")
            except Found as new:
                found = new
            if found is not None:
                run.append(found.record)
        if found is not None and not run.measures:
            pytest.fail(in_words(found.record, seed), pytrace=False)

    return run_exploration


def refused(record: Record) -> bool:
    """True when eager PyTorch does not take the call; some arguments end its process."""
    in_eager = record.phase is Phase.EAGER and record.outcome in (Outcome.CRASH, Outcome.TIMEOUT)
    return record.outcome is Outcome.INVALID_CASE or in_eager


def is_new(record: Record) -> bool:
    """True for a failure, or a fault of the harness, that no described cause explains."""
    if record.outcome is Outcome.NOT_RUN:
        return record.is_harness_fault
    return record.outcome not in WORKING and record.cause is None


def in_words(record: Record, seed: int) -> str:
    """What was found, and the two ways to see it again."""
    name = record.check_id
    again = f"smallest call found with --hypothesis-seed={seed}; coreml-harness repro {name!r}"
    return f"{name}\nnew: {describe(record)}\n{again}"
