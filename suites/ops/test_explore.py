"""Calls of every operator drawn along the axes by hypothesis, at level `full` or with `--explore N`."""

from __future__ import annotations

from collections.abc import Callable


def test_explored(explore: Callable[[], None]) -> None:
    explore()
