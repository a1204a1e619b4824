import importlib.metadata
import sys

import pytest

from harness.evidence.vocabulary import HarnessError
from harness.publish.dashboard_libraries import installed_libraries, with_global


def installed():
    try:
        return all(importlib.metadata.version(name) for name in ("itables", "bokeh"))
    except importlib.metadata.PackageNotFoundError:
        return False


def test_the_default_export_becomes_a_global():
    module = 'var a="export{b as default}",c=1;export{a as other,c as default};/* end */'
    assert with_global(module, "Table") == (
        'var a="export{b as default}",c=1;globalThis.Table=c;globalThis.dispatchEvent(new Event("library"));/* end */'
    )


@pytest.mark.parametrize("module", ["var a=1;", "export{a as b};"])
def test_a_bundle_of_another_form_is_refused(module):
    with pytest.raises(HarnessError, match="no default export"):
        with_global(module, "Table")


def test_a_package_that_is_missing_is_named(monkeypatch):
    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    with pytest.raises(HarnessError, match=r"needs the package itables: python install\.py dashboard"):
        installed_libraries()


@pytest.mark.skipif(not installed(), reason="itables or bokeh is not installed: python install.py dashboard")
def test_libraries_come_out_of_installed_packages_without_importing_them():
    before = set(sys.modules)
    libraries = installed_libraries()
    assert list(libraries) == ["tables", "charts", "plotting"]
    assert "globalThis.DataTable=" in libraries["tables"].script
    assert "table.dataTable" in libraries["tables"].style
    assert all(len(library.script) > 10_000 and "\r\n" not in library.script for library in libraries.values())
    assert not {name.partition(".")[0] for name in set(sys.modules) - before} & {"itables", "bokeh", "pandas"}
    assert libraries["charts"].told.endswith("(BSD-3-Clause)")
