"""What the dashboard's page is built on: the table and chart libraries, as installed Python packages carry them."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass

from harness.evidence.vocabulary import HarnessError

#: The end of an ES module that a bundler wrote: `export{a as b,c as default}`.
_EXPORTS = re.compile(r"export\s*\{([^}]*)\}\s*;?")
_DEFAULT = re.compile(r"([\w$]+) as default")


@dataclass(frozen=True)
class Library:
    """A library of the page: where its code comes from, under which licence, and the code. `module` is code that is an
    ES module, else a script."""

    name: str
    version: str
    licence: str
    script: str
    style: str = ""
    module: bool = False

    @property
    def told(self) -> str:
        return f"{self.name} {self.version} ({self.licence})"


def installed_libraries() -> dict[str, Library]:
    """`tables`, `charts` and `plotting`, which goes with `charts`. Raises `HarnessError` that says what to install."""
    itables, bokeh = _distribution("itables"), _distribution("bokeh")
    static = "bokeh/server/static/js"
    return {
        "tables": Library(
            "DataTables and jQuery of itables",
            itables.version,
            "MIT",
            with_global(_text(itables, "itables/html/dt_bundle.js"), "DataTable"),
            _text(itables, "itables/html/dt_bundle.css"),
            module=True,
        ),
        "charts": Library("Bokeh", bokeh.version, "BSD-3-Clause", _text(bokeh, f"{static}/bokeh.min.js")),
        "plotting": Library("BokehJS API", bokeh.version, "BSD-3-Clause", _text(bokeh, f"{static}/bokeh-api.min.js")),
    }


def with_global(module: str, name: str) -> str:
    """A module whose default export is a global of that name instead, and which says by an event `library` that it has
    run: within one file there is nothing to import from, and a module within a page has no other sign.

    Raises `HarnessError` where there is no such export.
    """
    exports = list(_EXPORTS.finditer(module))
    default = _DEFAULT.search(exports[-1][1]) if exports else None
    if default is None:
        raise HarnessError(f"{name}: its bundle has no default export: another version than this was written for")
    start, end = exports[-1].span()
    told = f'globalThis.{name}={default[1]};globalThis.dispatchEvent(new Event("library"));'
    return f"{module[:start]}{told}{module[end:]}"


def _distribution(name: str) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise HarnessError(
            f"the dashboard needs the package {name}: python install.py dashboard, or pip install itables bokeh"
        ) from None


def _text(distribution: importlib.metadata.Distribution, path: str) -> str:
    """A file of a package, without importing it."""
    try:
        with open(str(distribution.locate_file(path)), encoding="utf-8", newline="") as file:
            return file.read().replace("\r\n", "\n")
    except OSError:
        raise HarnessError(f"{distribution.metadata['Name']} {distribution.version} has no {path}") from None
