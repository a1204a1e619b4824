"""The page, from findings alone: reads no result and measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from benchmarks.section import Findings, Goal, Section, Table, shown
from harness.publish.markdown import anchor, table

PAGE = "performance.md"


@dataclass(frozen=True)
class Measured:
    """A section with its findings; None when nothing of it was measured. `unfinished` names what is missing.

    `origins`: where and when, a line each: one unless parts were measured on different machines, days or revisions.
    """

    section: Section
    findings: Findings | None
    origins: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


def render(measured: Sequence[Measured], size: str) -> str:
    """The whole page. A section without results says what is wanted, and that nothing is known."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"table": as_markdown, "goals": goals_table, "anchor": anchor}
    goals = [(one.section, goal) for one in measured if one.findings for goal in one.findings.goals]
    origins = sorted({origin for one in measured for origin in one.origins})
    template = environment.get_template(f"{PAGE}.j2")
    return template.render(measured=measured, goals=goals, size=size, origins=origins)


def as_markdown(numbers: Table) -> str:
    align = ["left"] + ["right"] * (len(numbers.head) - 1)
    return table(numbers.head, numbers.rows, align)


def goals_table(goals: Sequence[tuple[Section, Goal]]) -> str:
    rows = [(f"[{s.name}](#{anchor(s.title)})", g.what, g.wanted, shown(g.measured, g.unit), g.met) for s, g in goals]
    return table(("section", "of what", "goal", "measured", "met"), rows)
