import ast
import functools
from pathlib import Path

import pytest
import torch

from harness.cases.partitioner import INPUTS, RULES, TriedRule, build, cases, label_of, names_in
from harness.evidence.causes import read_causes
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.universe import read_universe
from harness.evidence.vocabulary import Level, Outcome, Phase

KNOWN_ISSUES = Path(__file__).resolve().parents[2] / "suites" / "known_issues"


def test_every_rule_is_tried_as_it_stands_once_and_switched_off_on_every_program():
    ids = [case.id for case in cases()]
    assert len(set(ids)) == len(ids)
    for rule in RULES:
        own = [i.rpartition("/")[2] for i in ids if i.rpartition("/")[2].rpartition("-o")[0] == rule.name]
        digests = [label_of(program) for program in rule.programs]
        off = [f"{rule.name}-off-{digest}" for digest in digests] if rule.off else []
        assert sorted(own) == sorted([f"{rule.name}-on-{digests[0]}", *off])


def test_they_are_a_few_dozen_and_each_has_one_for_the_smoke_level():
    assert len(cases()) < 80
    smoke = {case.id.rpartition("/")[2].rpartition("-o")[0] for case in cases() if case.level is Level.SMOKE}
    assert smoke == {rule.name for rule in RULES}


def test_every_rule_stands_in_the_partitioners_own_code_and_none_of_its_tables_is_left_out():
    from executorch.backends.apple.coreml.partition import coreml_partitioner

    with open(coreml_partitioner.__file__, encoding="utf-8") as file:
        source = file.read()
    assert [p.name for p in RULES if p.line not in source] == []
    rejected = {op for p in RULES if p.off for op in p.off.claim}
    table = coreml_partitioner._UNSUPPORTED_OP_TARGETS | set(coreml_partitioner._ARG_MIN_MAX_TARGETS)
    named = {f"{t._schema.name.replace('::', '.')}.{t._schema.overload_name or 'default'}" for t in table}
    assert named <= rejected
    listed = ast.parse(source)
    blocked = next(
        node.value
        for node in ast.walk(listed)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "do_not_decompose_blocklist"
    )
    kept = {op for p in RULES if p.off for op in p.off.keep}
    assert kept == {ast.unparse(item).removeprefix("torch.ops.") for item in blocked.elts}


@pytest.mark.parametrize("rule", RULES, ids=lambda p: p.name)
def test_programs_run_in_eager_give_the_same_twice_and_draw_their_inputs_from_their_own_seed(rule: TriedRule):
    for program in rule.programs:
        first, second = build(program, rule.on), build(program)
        assert first.partitioning == rule.on
        assert [t.shape for t in first.inputs] == [torch.Size(INPUTS[name][1]) for name in names_in(program)]
        assert all(torch.equal(a, b) for a, b in zip(first.inputs, second.inputs, strict=True))
        assert torch.equal(first.module(*first.inputs), second.module(*second.inputs))


def test_the_product_that_is_to_be_skipped_leaves_the_range_of_fp16_on_its_way():
    x, y = build("(x * 300) * (y * 300) * 1e-5 + y").inputs
    assert torch.isinf(((x * 300) * (y * 300)).half()).any()
    assert torch.isfinite(((x * 300) * (y * 300) * 1e-5 + y).half()).all()


@pytest.fixture(scope="module")
def kept_from_the_partitioner():
    """Functional ATen operators that give a tensor, are claimed, outside Core ATen, and decomposed by nothing."""
    from executorch.exir.program._program import _default_decomposition_table
    from executorch.exir.verification.verifier import EXIRATenDialectVerifier

    admitted = EXIRATenDialectVerifier()._get_core_aten_ops_exception_list()
    table = _default_decomposition_table()
    names = []
    for operator in read_universe().operators.values():
        claimed = {"coremltools", "executorch"} & set(operator.sources) and operator.name.startswith("aten.")
        left_alone = {"composite", "view", "view_copy", "mutable"} & set(operator.tags) or "core" in operator.sources
        if claimed and not left_alone and "Tensor" in operator.schema.rpartition("->")[2]:
            overload = functools.reduce(getattr, operator.name.split("."), torch.ops)
            by_export = torch._C.DispatchKey.Autograd in overload.py_kernels  # upsample_bilinear2d
            if overload not in table and overload not in admitted and not by_export:
                names.append(operator.name)
    return names


def test_what_the_edge_dialect_refuses_though_claimed_goes_to_its_cause_and_nothing_else_does(
    kept_from_the_partitioner,
):
    causes = {cause.cause: cause for cause in read_causes(KNOWN_ISSUES)}

    def explains(cause, operator):
        message = f'\nOperator torch._ops.{operator} is not in Core ATen opset (https://pytorch.org)."'
        error = ErrorInfo("SpecViolationError", message.strip(), "")
        return causes[cause].explains(Record("ops/x", "r", "u", Outcome.UNSUPPORTED, Phase.EDGE, error=error))

    own = "repeat-interleave-decomposed-into-refused-operator"
    told = {
        name for name in read_universe().operators if explains("claimed-operator-without-decomposition-refused", name)
    }
    assert told | {name for name in kept_from_the_partitioner if explains(own, name)} == set(kept_from_the_partitioner)
    tried = {rule.op for rule in RULES if rule.kind == "reaches"}
    assert tried <= told
    assert explains("operator-outside-core-aten", "aten.lgamma.default")
