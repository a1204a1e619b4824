from benchmarks.bench_startup import evidence, user_file
from harness.evidence.files import read_evidence


def test_synthetic_evidence_repeats_no_check(tmp_path):
    baseline, candidate = (read_evidence(tmp_path / f"{name}.jsonl") for name in _made(tmp_path, 12_000))
    assert len(baseline.by_check()) == 12_000
    assert baseline.by_check().keys() == candidate.by_check().keys()


def _made(folder, records):
    evidence(folder, records)
    return "baseline", "candidate"


def test_the_users_file_holds_so_many_modules(tmp_path):
    from pathlib import Path

    from harness.cases.user_file import load

    cases = load(Path(user_file(tmp_path, 3)))
    assert len(cases) == 3
    assert len({case.build().module[0].out_features for case in cases}) == 3
