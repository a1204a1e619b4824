"""The dashboard as one HTML file: data and libraries packed within it, nothing fetched, no script but its own."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from harness.publish.dashboard_libraries import Library

TEMPLATES = Path(__file__).with_name("templates") / "dashboard"
#: The page's own code, in the order in which it stands in the page: one module.
SCRIPTS = (
    "data.js",
    "nodes.js",
    "address.js",
    "filters.js",
    "tables.js",
    "plots.js",
    "operator.js",
    "views.js",
    "main.js",
)
_GZIP = 31


def render_dashboard(data: Mapping[str, Any], libraries: Mapping[str, Library], title: str) -> str:
    """The page. Equal data and libraries give equal bytes."""
    own = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    blocks = {"data": packed(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))}
    blocks |= {name: packed(library.script) for name, library in libraries.items()}
    blocks |= {f"{name}-style": packed(library.style) for name, library in libraries.items() if library.style}
    about = {
        "modules": [name for name, library in libraries.items() if library.module],
        "libraries": [library.told for library in libraries.values()],
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True
    )
    own = f"\n{own}"
    return environment.get_template("index.html.j2").render(
        title=title,
        policy=policy([own, *(library.script for library in libraries.values())]),
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        script=own,
        blocks=blocks,
        about=for_script(about),
        libraries=about["libraries"],
    )


def packed(text: str) -> str:
    """Base64 of gzip, which holds nothing that HTML would take for its own."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    # A lone surrogate, as of an undecodable path, has no UTF-8.
    data = text.encode("utf-8", errors="replace")
    return base64.b64encode(compressor.compress(data) + compressor.flush()).decode("ascii")


def for_script(value: Any) -> str:
    """JSON that may stand in a `<script>`: no `<` in it ends or opens anything."""
    return json.dumps(value).replace("<", "\\u003c")


def policy(scripts: list[str]) -> str:
    """The page's Content-Security-Policy: these scripts by their hashes and no other, and no connection at all.

    Styles are set by the libraries as they go.
    """
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
