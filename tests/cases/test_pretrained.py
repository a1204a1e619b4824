"""Models with published weights: asked for by `--pretrained` or by their ids, loaded when they are built."""

from pathlib import Path

import pytest
import torch

from harness.cases import models
from harness.cases.find import all_cases, find
from harness.cases.models.model import Model, build_by
from harness.cases.models.pretrained import from_transformers, published
from harness.cases.torchvision_ops import import_torchvision
from harness.check import check
from harness.evidence.check import Check
from harness.evidence.vocabulary import Outcome, Phase

pytest_plugins = ["pytester"]

_SUITE = """
from harness.cases.case import Case
from harness.evidence.vocabulary import Kind, Level

def build():
    raise AssertionError("nothing is loaded while collecting")

def case(weights):
    return Case(id=f"models/tiny/float32/{weights}", kind=Kind.MODEL, op="model.tiny", api="tiny", dtype="float32",
                origin="model", level=Level.STANDARD, build=build)

def cases(): return [case("seed-0")]
def pretrained(): return [case("pretrained")]
def test_model(check): check()
"""


def test_they_are_found_by_id_and_are_in_no_suite():
    asked = {case.id for case in models.pretrained()}
    assert "models/bert/float32/pretrained" in asked
    assert all(find(identity).id == identity for identity in asked)
    assert asked.isdisjoint(case.id for case in all_cases())


def test_a_run_collects_them_where_asked(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    pytester.makepyfile(test_models=_SUITE)
    options = ("-p", "xdist", "-p", "harness.plugin.conformance", "--collect-only", "-q", "--unit", "reference")
    without = pytester.runpytest_subprocess(*options).stdout.str()
    assert "models/tiny/float32/seed-0@fp16-ios18@reference" in without
    assert "pretrained" not in without
    asked = pytester.runpytest_subprocess(*options, "--pretrained").stdout.str()
    assert "models/tiny/float32/seed-0@fp16-ios18@reference" in asked
    assert "models/tiny/float32/pretrained@fp16-ios18@reference" in asked


def test_weights_that_are_had_are_those_of_the_case(monkeypatch):
    import_torchvision()
    import torchvision

    def mobile(weights):
        assert weights == "DEFAULT"
        module = torch.nn.Linear(224, 2)
        torch.nn.init.constant_(module.weight, 0.3)
        return module

    monkeypatch.setattr(torchvision.models, "mobilenet_v2", mobile)
    make = published(Model("m", "torchvision.models.mobilenet_v2", "vision", None))
    built = build_by(make)
    assert torch.equal(built.module.weight, torch.full((2, 224), 0.3).half().float())
    assert [tuple(leaf.shape) for leaf in built.leaves] == [(1, 3, 224, 224)]


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


def test_weights_go_by_the_row_or_by_the_name_of_a_function():
    def own():
        return None

    assert published(Model("m", "torchvision.models.resnet18", "vision", None, pretrained=own)) is own
    assert published(Model("m", "timm.models.repvgg_a0", "vision", None)).args == ("repvgg_a0",)
    for api in ("torchvision.models.ResNet", "torchvision.models.video.r3d_18", "transformers.BertModel", "tiny"):
        assert published(Model("m", api, "vision", None)) is None
