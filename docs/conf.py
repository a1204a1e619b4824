"""Sphinx' settings: `make docs` builds the project's pages, those of `docs/` and the generated ones of `reports/`.

The source folder is the repository's root, so that links between pages are the same here and where the files are read
as they lie.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).resolve().parents[1]
#: Folders with pages; all others are not even looked through (environments and runs hold thousands of files).
WITH_PAGES = ("docs", "reports", "suites")
#: Pages that `reports/coreml-op-support.md` finds beside it once it lies in ExecuTorch's own documentation.
EXECUTORCH = "https://docs.pytorch.org/executorch/stable/backends/coreml/"
EXECUTORCH_PAGES = {"coreml-partitioner.md": f"{EXECUTORCH}coreml-partitioner.html"}

project = "coreml-harness"
author = "the coreml-harness authors"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "docs/*.md", "reports/*.md", "suites/README.md"]
exclude_patterns = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in WITH_PAGES]

#: As GitHub makes them, so that a link to a heading works in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "pydata_sphinx_theme"
html_title = "coreml-harness"
html_additional_pages = {"index": "start.html"}
templates_path = ["_templates"]
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
# All pages at the side: the theme itself would show the first five above, the others behind a menu.
html_sidebars = {"**": ["globaltoc.html"]}
html_theme_options = {
    "navbar_center": [],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
}

_ANCHOR = re.compile(r'<a id="([^"]+)"')


def _executorch_links(app: Any, docname: str, source: list[str]) -> None:
    """Lead the links of the page that is made for ExecuTorch's documentation to where that is published."""
    for page, address in EXECUTORCH_PAGES.items():
        source[0] = source[0].replace(f"]({page})", f"]({address})")


class _Anchors(SphinxTransform):
    """Let links reach the anchors that generated pages set in HTML, as they reach headings."""

    default_priority = 878  # MyST resolves the links within a page at 879

    def apply(self, **kwargs: Any) -> None:
        for raw in self.document.findall(nodes.raw):
            for anchor in _ANCHOR.findall(raw.astext()):
                target = (raw.line or 0, anchor, anchor)
                self.document.myst_slugs.setdefault(anchor, target)
                self.env.metadata[self.env.docname]["myst_slugs"].setdefault(anchor, target)


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", _executorch_links)
    app.add_transform(_Anchors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
