"""Models with published weights: asked for by `--pretrained` or by their ids, loaded when they are built."""

import pytest
import torch

from harness.cases import models
from harness.cases.case import WeightsNotHad
from harness.cases.find import all_cases, find
from harness.cases.models import pretrained
from harness.cases.models.model import Made, Model, build_pretrained
from harness.cases.models.pretrained import from_torchvision, from_transformers
from harness.cases.torchvision_ops import import_torchvision
from harness.check import check
from harness.evidence.check import Check
from harness.evidence.vocabulary import Outcome, Phase

_PROJECT = """
from harness.cases import models
from harness.cases.models.model import Made, Model
def made():
    raise AssertionError("nothing is loaded while collecting")
one = Model("tiny", "tiny", "vision", made, pretrained=made)
def cases(): return [models._case(one, "seed-0", models.build)]
def pretrained(): return [models._case(one, models.PRETRAINED, models.build_pretrained)]
def test_model(check): check()
"""


def test_they_are_found_by_id_and_are_in_no_suite():
    asked = {case.id for case in models.pretrained()}
    assert "models/bert/float32/pretrained" in asked
    assert all(find(identity).id == identity for identity in asked)
    assert asked.isdisjoint(case.id for case in all_cases())


def test_a_run_collects_them_where_asked(pytester):
    pytester.makepyfile(test_models=_PROJECT)
    arguments = ["--collect-only", "-q", "--unit", "reference", "-p", "no:cacheprovider"]
    without = pytester.runpytest_inprocess(*arguments)
    assert "pretrained" not in without.stdout.str()
    assert "models/tiny/float32/seed-0@fp16-ios18@reference" in without.stdout.str()
    asked = pytester.runpytest_inprocess(*arguments, "--pretrained")
    assert "models/tiny/float32/pretrained@fp16-ios18@reference" in asked.stdout.str()


def test_weights_that_are_had_are_those_of_the_case(monkeypatch):
    import_torchvision()
    import torchvision

    def mobile(weights):
        assert weights == "DEFAULT"
        module = torch.nn.Linear(8, 2)
        torch.nn.init.constant_(module.weight, 0.3)
        return module

    monkeypatch.setattr(torchvision.models, "mobilenet_v2", mobile)
    built = build_pretrained(Model("m", "m", "vision", Made, pretrained=lambda: from_torchvision("mobilenet_v2", 8)))
    assert torch.equal(built.module.weight, torch.full((2, 8), 0.3).half().float())
    assert [tuple(leaf.shape) for leaf in built.leaves] == [(1, 3, 8, 8)]


@pytest.mark.parametrize("error", [ConnectionError("no route to host\nmore"), RuntimeError("invalid hash value")])
def test_weights_that_cannot_be_had_are_no_outcome(monkeypatch, error):
    import_torchvision()
    import transformers

    def fails(*_, **__):
        raise error

    monkeypatch.setattr(transformers.BertModel, "from_pretrained", fails)
    record = check(Check.of(find("models/bert/float32/pretrained"), "fp16-ios18", "reference"))
    assert (record.outcome, record.phase) == (Outcome.NOT_RUN, Phase.EAGER)
    assert record.reason.startswith("weights could not be had: google-bert/bert-base-uncased: ")
    assert str(error).splitlines()[0] in record.reason
    assert "more" not in record.reason
    assert not record.is_harness_fault


def test_a_wrong_call_is_a_fault(monkeypatch):
    import_torchvision()
    import transformers

    def fails(*_, **__):
        raise TypeError("unexpected argument")

    monkeypatch.setattr(transformers.BertModel, "from_pretrained", fails)
    with pytest.raises(TypeError, match="unexpected argument"):
        from_transformers("BertModel", "a/b", ("last_hidden_state",), tuple)


def test_only_what_has_published_weights_has_such_a_case():
    assert len(pretrained()) == sum(model.pretrained is not None for model in models.MODELS)
    assert issubclass(WeightsNotHad, Exception)
