"""Templates of this room, filled in."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import jinja2


def wrapped(text: str, width: int = 118) -> str:
    """Running text on lines of at most `width`, so that a change of one name is a change of one line."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def render(template: str, context: dict[str, Any]) -> str:
    """The text of a template in `templates/`, which ends with one newline."""
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    environment = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["wrap"] = wrapped
    return environment.get_template(template).render(context).rstrip("\n") + "\n"
