from harness.cases.index.partitioner import installed_source, rows
from harness.cases.partitioner import RULES
from harness.evidence.environment import version_of
from harness.evidence.partitioner_rules import KINDS, PATH, SOURCE_FILE, to_text


def test_the_committed_table_is_what_the_installed_source_gives():
    found = rows(installed_source())
    assert PATH.read_text(encoding="utf-8") == to_text(found, version_of("executorch") or "")
    assert {row.kind for row in found} == set(KINDS)


def test_the_line_is_that_of_the_source_and_none_where_it_is_gone():
    lines = installed_source().splitlines()
    for rule, row in zip(RULES, rows(installed_source()), strict=True):
        assert rule.line in lines[row.line - 1]
    assert {row.line for row in rows("nothing of it")} == {0}


def test_the_source_is_the_partitioners_own():
    from executorch.backends.apple.coreml.partition import coreml_partitioner

    assert coreml_partitioner.__file__.endswith(SOURCE_FILE)
