"""Non-maximum suppression. Semantics: coremltools' documentation of `iOS15` and `iOS17` `tensor_operation`."""

from __future__ import annotations

import numpy as np

from harness.mil.context import UNDOCUMENTED, Context
from harness.mil.registry import kernel
from harness.mil.types import INT32, Array

_IOS17 = 7


def intersection_over_union(box: Array, others: Array) -> Array:
    """Of one box with each of [N, 4]; boxes are (centre x, centre y, width, height). 0 where both areas are 0."""
    low = np.maximum(box[:2] - box[2:] / 2, others[:, :2] - others[:, 2:] / 2)
    high = np.minimum(box[:2] + box[2:] / 2, others[:, :2] + others[:, 2:] / 2)
    common = np.prod(np.maximum(high - low, 0), axis=1)
    total = box[2] * box[3] + others[:, 2] * others[:, 3] - common
    return np.divide(common, total, out=np.zeros_like(common), where=total > 0)


def _keep(boxes: Array, scores: Array, threshold: float, score_threshold: float, per_class: bool) -> list[int]:
    """Indices of the surviving boxes, best first. A box counts with its best class, and is suppressed by a better one
    that overlaps it (of the same class only, when asked)."""
    best, label = scores.max(axis=1), scores.argmax(axis=1)
    order = [int(i) for i in np.argsort(-best, kind="stable") if best[i] >= score_threshold]
    kept: list[int] = []
    while order:
        first, rest = order[0], order[1:]
        kept.append(first)
        overlap = intersection_over_union(boxes[first], boxes[rest]) if rest else np.zeros(0)
        order = [
            i
            for i, value in zip(rest, overlap, strict=True)
            if value <= threshold or (per_class and label[i] != label[first])
        ]
    return kept


@kernel("non_maximum_suppression", raw=True)
def non_maximum_suppression(
    context: Context,
    boxes: Array,
    scores: Array,
    iou_threshold: float,
    max_boxes: int,
    score_threshold: float | None = None,
    per_class_suppression: bool = False,
) -> list[Array]:
    """The best boxes that do not overlap a better one by more than `iou_threshold`.

    iOS15: `boxes` [n, B, 4] and `scores` [n, B, K] -> boxes [n, max_boxes, 4], scores, indices (int32), and the number
    of boxes [n]. iOS17: the number of boxes last ([n, 4, B]), no score threshold and no number. What the places after
    the last box hold is not documented: zeros, and -1 for the index."""
    if max_boxes < 0:
        max_boxes = boxes.shape[2 if context.opset >= _IOS17 else 1]
    last = context.opset >= _IOS17
    if last:
        boxes, scores = boxes.swapaxes(1, 2), scores.swapaxes(1, 2)
    n = boxes.shape[0]
    chosen = np.zeros((n, max_boxes, 4), boxes.dtype)
    chosen_scores = np.zeros((n, max_boxes, scores.shape[2]), scores.dtype)
    indices, counts = np.full((n, max_boxes), -1, INT32), np.zeros(n, INT32)
    limit = -np.inf if score_threshold is None else score_threshold
    for image in range(n):
        wide = boxes[image].astype(np.float64)
        kept = _keep(wide, scores[image], iou_threshold, limit, per_class_suppression)[:max_boxes]
        count = len(kept)
        chosen[image, :count], chosen_scores[image, :count] = boxes[image, kept], scores[image, kept]
        indices[image, :count], counts[image] = kept, count
        if count < max_boxes:
            context.note(UNDOCUMENTED, "padding after the last box of non_maximum_suppression")
    if last:
        return [chosen.swapaxes(1, 2), chosen_scores.swapaxes(1, 2), indices]
    return [chosen, chosen_scores, indices, counts]
