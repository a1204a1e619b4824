"""The generated pages, as text: `{file name: content}` from the matrix. Equal evidence gives equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.evidence.causes import Cause
from harness.evidence.features import Feature
from harness.evidence.partitioner_rules import PartitionerRule
from harness.evidence.universe import Universe
from harness.evidence.vocabulary import Kind
from harness.publish.executorch_page import executorch_context, executorch_csv
from harness.publish.features_page import PAGE as FEATURES_PAGE
from harness.publish.features_page import features_context
from harness.publish.findings import PAGE as FINDINGS_PAGE
from harness.publish.findings import findings_context
from harness.publish.model import Matrix
from harness.publish.models_page import PAGE as MODELS_PAGE
from harness.publish.models_page import models_context
from harness.publish.partitioner_page import PAGE as PARTITIONER_PAGE
from harness.publish.partitioner_page import partitioner_context
from harness.publish.prediction_page import PAGE as PREDICTION_PAGE
from harness.publish.prediction_page import prediction_context
from harness.publish.rendering import render
from harness.publish.support_page import api_context, readme_context, support_context, support_csv
from harness.publish.units_page import PAGE as UNITS_PAGE
from harness.publish.units_page import units_context
from harness.publish.universe_page import silent_operators
from harness.publish.views import views_of

EXECUTORCH_PAGES = ("coreml-op-support.md", "coreml-op-support.csv")


def build_pages(
    matrix: Matrix,
    sources: Sequence[str],
    causes: Sequence[Cause] = (),
    universe: Universe | None = None,
    reasons: Mapping[str, str] | None = None,
    rules: Sequence[PartitionerRule] = (),
    features: Sequence[Feature] = (),
) -> dict[str, str]:
    """All pages, by their paths from the reports. `sources` are the evidence files' names relative to these; records
    name their `causes`.

    `features` are those of the backend, `universe` and `rules` those of the measured versions, `reasons` say why
    operators of it have no case.
    """
    names = sorted(sources)
    silent = silent_operators(matrix, universe, reasons or {})
    views = views_of(matrix, causes, universe)
    context = support_context(matrix, views, universe, silent)
    return {
        **_prediction(matrix, names, causes),
        "README.md": render("README.md.j2", {"sources": names, **readme_context(matrix, views)}),
        "op-support.md": render("op-support.md.j2", {"sources": names, **context}),
        "op-support-api.md": render("op-support-api.md.j2", {"sources": names, **api_context(matrix, views)}),
        "op-support.csv": support_csv(matrix, [row.name for row in silent if not row.instead]),
        "coreml-op-support.md": render(
            "coreml-op-support.md.j2", {"sources": names, **executorch_context(matrix, views)}
        ),
        "coreml-op-support.csv": executorch_csv(matrix, views),
        PARTITIONER_PAGE: render(
            "partitioner.md.j2", {"sources": names, **partitioner_context(matrix, rules, universe)}
        ),
        FEATURES_PAGE: render("features.md.j2", {"sources": names, **features_context(matrix, features)}),
        UNITS_PAGE: render("units.md.j2", {"sources": names, **units_context(matrix)}),
        MODELS_PAGE: render("models.md.j2", {"sources": names, **models_context(matrix, causes)}),
        FINDINGS_PAGE: render("findings.md.j2", {"sources": names, **findings_context(matrix, causes)}),
    }


def _prediction(matrix: Matrix, names: Sequence[str], causes: Sequence[Cause]) -> dict[str, str]:
    """The page beside the reports; none where no model was measured."""
    if not any(record.kind is Kind.MODEL for record in matrix.shown):
        return {}
    links = [f"../reports/{name}" for name in names]
    return {PREDICTION_PAGE: render("prediction.md.j2", {"sources": links, **prediction_context(matrix, causes)})}
