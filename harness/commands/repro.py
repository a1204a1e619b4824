"""`harness repro CHECK-ID`: run one check again, nothing cached, and print a script that needs no harness."""

from __future__ import annotations

import shlex

from harness.cases.find import find
from harness.commands.check_file import report
from harness.evidence.check import Check
from harness.evidence.ids import split_check_id
from harness.evidence.recipe import Recipe
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import FAILING, Outcome
from harness.process.isolation import IsolatedChecker, Settings


def run(check_id: str) -> int:
    """Print the record in words, then the script. Returns 1 when the check is a finding, else 0.

    Raises `HarnessError` when `check_id` names no check.
    """
    case_id, recipe_name, unit = split_check_id(check_id)
    # Recipe and unit first: what is misspelt there is told before what is not found.
    recipe, spec = Recipe.parse(recipe_name), UnitSpec.parse(unit)
    case = find(case_id)
    checker = IsolatedChecker(Settings(use_cache=False))
    try:
        record = checker.check(Check(case, recipe, spec))
    finally:
        checker.close()
    print("\n".join(f"# {line}" for line in report(record)))
    print(f"# again: coreml-harness repro {shlex.quote(record.check_id)}")
    if record.outcome is not Outcome.INVALID_CASE:
        print()
        from harness.lowering.quantize import prepared_by

        built, _ = prepared_by(case.build(), recipe)
        if built.beside:
            names = ", ".join(method.name for method in built.beside)
            print(f"# no script: the case is method {built.method} of a program that has {names} beside it")
        else:
            from harness.diagnosis.repro import script

            print(script(record, built, recipe), end="")
    return 1 if record.outcome in FAILING else 0
