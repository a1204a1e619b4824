from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.evidence.causes import read_causes
from harness.evidence.features import Feature, Pattern, read_features, records_of
from harness.evidence.files import read_evidence
from harness.evidence.vocabulary import HarnessError

ROOT = Path(__file__).resolve().parents[2]
FEATURES = read_features()


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_what_a_feature_names_exists(feature: Feature) -> None:
    assert feature.source.startswith("https://")
    for path in feature.tests:
        assert (ROOT / path).is_file()
    causes = {cause.cause for cause in read_causes()}
    assert set(feature.causes) <= causes


def test_no_feature_of_the_committed_evidence_is_without_evidence() -> None:
    records = [r for path in sorted((ROOT / "reports/evidence").glob("*.jsonl")) for r in read_evidence(path).records]
    found = records_of(FEATURES, records)
    without = [f.name for f in FEATURES if f.checks and not found[f.name]]
    assert without == []


def test_every_glob_of_a_feature_finds_a_check() -> None:
    """One that finds none has outlived what it was written for, and another may hide it."""
    records = [r for path in sorted((ROOT / "reports/evidence").glob("*.jsonl")) for r in read_evidence(path).records]
    keys = {f"{record.case}@{record.recipe}" for record in records}
    idle = [
        (feature.name, pattern)
        for feature in FEATURES
        for pattern in feature.checks
        if not any(map(pattern.pattern().match, keys))
    ]
    assert idle == []


def test_records_are_told_apart_by_case_and_recipe(record: Any) -> None:
    features = [
        Feature("target", "g", "p", "s", (Pattern(recipe="*-ios17*"),)),
        Feature("state", "g", "p", "s", (Pattern(case="state/*"), Pattern(case="ring/*"))),
        Feature("both", "g", "p", "s", (Pattern(case="state/*", recipe="*-ios17*"),)),
    ]
    records = [
        record(case="state/a/float32/b", recipe="fp16-ios17"),
        record(case="state/a/float32/b", recipe="fp16-ios18"),
        record(case="ops/a/float32/b", recipe="fp16-ios17-pt2e_int8_static"),
    ]
    found = records_of(features, records)
    assert found == {"target": [records[0], records[2]], "state": records[:2], "both": [records[0]]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [{name: x, promise: p, source: s}]", "x: nothing proves it"),
        ("a: [{name: x, promise: p, source: s, hardware: h}, {name: x, promise: p, source: s, hardware: h}]", "twice"),
        ("a: [{name: x, promise: p, source: s, hardware: h, prize: 1}]", "unknown keys prize"),
        ("a: [{name: x, promise: p, hardware: h}]", "source"),
        ("a: [{name: x, promise: p, source: s, checks: [{unit: u}]}]", "unit"),
        ("[]", "no table of features"),
        ("a: [", "no table of features"),
    ],
)
def test_a_damaged_table_is_told_in_one_line(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "features.yaml"
    path.write_text(text)
    with pytest.raises(HarnessError) as caught:
        read_features(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
