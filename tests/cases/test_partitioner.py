import ast

import pytest
import torch

from harness.cases.partitioner import INPUTS, PROMISES, Promise, build, cases, names_in
from harness.evidence.vocabulary import Level


def test_every_rule_is_tried_as_it_stands_once_and_switched_off_on_every_program():
    ids = [case.id for case in cases()]
    assert len(set(ids)) == len(ids)
    for promise in PROMISES:
        own = [i.rpartition("/")[2] for i in ids if i.rpartition("/")[2].rpartition("-o")[0] == promise.name]
        off = [f"{promise.name}-off-{n}" for n in range(len(promise.programs))] if promise.off else []
        assert sorted(own) == sorted([f"{promise.name}-on-0", *off])


def test_they_are_a_few_dozen_and_each_has_one_for_the_smoke_level():
    assert len(cases()) < 80
    smoke = {case.id.rpartition("/")[2].rpartition("-o")[0] for case in cases() if case.level is Level.SMOKE}
    assert smoke == {promise.name for promise in PROMISES}


def test_every_promise_stands_in_the_partitioners_own_code_and_none_of_its_tables_is_left_out():
    from executorch.backends.apple.coreml.partition import coreml_partitioner

    with open(coreml_partitioner.__file__, encoding="utf-8") as file:
        source = file.read()
    assert [p.name for p in PROMISES if p.line not in source] == []
    rejected = {op for p in PROMISES if p.off for op in p.off.claim}
    table = coreml_partitioner._UNSUPPORTED_OP_TARGETS | set(coreml_partitioner._ARG_MIN_MAX_TARGETS)
    named = {f"{t._schema.name.replace('::', '.')}.{t._schema.overload_name or 'default'}" for t in table}
    assert named <= rejected
    listed = ast.parse(source)
    blocked = next(
        node.value
        for node in ast.walk(listed)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "do_not_decompose_blocklist"
    )
    kept = {op for p in PROMISES if p.off for op in p.off.keep}
    assert kept == {ast.unparse(item).removeprefix("torch.ops.") for item in blocked.elts}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda p: p.name)
def test_programs_run_in_eager_give_the_same_twice_and_draw_their_inputs_from_their_own_seed(promise: Promise):
    for program in promise.programs:
        first, second = build(program, promise.on), build(program)
        assert first.partitioning == promise.on
        assert [t.shape for t in first.inputs] == [torch.Size(INPUTS[name][1]) for name in names_in(program)]
        assert all(torch.equal(a, b) for a, b in zip(first.inputs, second.inputs, strict=True))
        assert torch.equal(first.module(*first.inputs), second.module(*second.inputs))


def test_the_product_that_is_to_be_skipped_leaves_the_range_of_fp16_on_its_way():
    x, y = build("(x * 300) * (y * 300) * 1e-5 + y").inputs
    assert torch.isinf(((x * 300) * (y * 300)).half()).any()
    assert torch.isfinite(((x * 300) * (y * 300) * 1e-5 + y).half()).all()
