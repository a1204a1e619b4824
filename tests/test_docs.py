"""The documentation against the project: links lead somewhere, commands, options and files exist, examples give what
they show. Needs no Sphinx: `make docs` builds the pages."""

from __future__ import annotations

import contextlib
import doctest
import functools
import importlib.util
import io
import re
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from harness.cli import cli
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Outcome, Phase

ROOT = Path(__file__).parents[1]
GENERATED = sorted([*ROOT.glob("reports/*.md"), ROOT / "docs" / "prediction.md"])
BY_HAND = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "suites" / "README.md"} - {*GENERATED})
EVIDENCE = sorted((ROOT / "reports" / "evidence").glob("*.jsonl"))

_FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(`+)(?!`)(?:(?!\n\n).)+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_ID = re.compile(r'<a id="([^"]+)"')


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def every(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=named)


def fences(text: str, language: str) -> list[str]:
    """What stands in code blocks of a language, without the indentation of a list."""
    return [textwrap.dedent(body) for found, body in _FENCE.findall(text) if found == language]


# Links.


def slug(heading: str) -> str:
    """The anchor a code host gives a heading: links keep their text, code spans lose their marks."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@functools.cache
def anchors(text: str) -> set[str]:
    """Of headings, numbered where several are equal, and of anchors in HTML."""
    found: Counter[str] = Counter()
    result = set(_ID.findall(text))
    for heading in re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE):
        name = slug(heading)
        result.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return result


def broken_links(text: str, page: Path) -> Iterator[str]:
    """Targets, as the page writes them, of links within the repository that lead nowhere."""
    for target in _LINK.findall(_SPAN.sub("", _FENCE.sub("", text))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        missing = path and not file.exists()
        if missing or (anchor and anchor not in anchors(text if file == page else file.read_text(encoding="utf-8"))):
            yield target


def settings() -> ModuleType:
    """`docs/conf.py`, which needs Sphinx."""
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("conf", ROOT / "docs" / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@every(BY_HAND)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page.read_text(encoding="utf-8"), page)) == []


@every(GENERATED)
def test_links_of_generated_pages_lead_somewhere(page: Path) -> None:
    # The page in ExecuTorch's form also links to a page that lies beside it there.
    beside = {"coreml-partitioner.md"} if page.name == "coreml-op-support.md" else set()
    assert set(broken_links(page.read_text(encoding="utf-8"), page)) == beside


def test_pages_that_are_beside_it_in_executorch_are_known_to_sphinx() -> None:
    assert settings().EXECUTORCH_PAGES.keys() == {"coreml-partitioner.md"}


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Two `words`, here\n# Two words here\n<a id='x'></a><a id=\"y\"></a>")
    text = """# Of its own
[1](other.md) [2](other.md#two-words-here-1) [3](other.md#y) [4](#of-its-own) [5](https://nowhere.invalid)
[a](missing.md) [b](other.md#x) [c](#missing)
`[d](in-code.md)`
```
[e](in-a-block.md)
```
"""
    assert list(broken_links(text, tmp_path / "page.md")) == ["missing.md", "other.md#x", "#missing"]


def test_every_page_is_reached_from_the_first_one() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    trees = "\n".join(fences(index.replace("{toctree}", "toctree"), "toctree"))
    listed = {(ROOT / "docs" / f"{entry}.md").resolve() for entry in re.findall(r"^[\w./-]+$", trees, re.MULTILINE)}
    pages = {*BY_HAND, *GENERATED} - {ROOT / "docs" / "index.md", ROOT / "CHANGELOG.md"}
    assert listed == pages


def test_the_readme_is_short_and_leads_to_the_guides() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    for page in ("usage", "design", "interpreter", "bounds", "causes", "simulated-host", "mac", "scaling"):
        assert f"](docs/{page}.md" in text, page


# Examples.


@every([page for page in BY_HAND if fences(page.read_text(encoding="utf-8"), "python")])
def test_python_examples_give_what_they_show(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Blocks with prompts share their names over a page and print what follows; others are files, and run."""
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    tried = 0
    for number, block in enumerate(fences(page.read_text(encoding="utf-8"), "python")):
        if block.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(block, session, f"{page.name} {number}", None, None)
            runner = doctest.DocTestRunner(verbose=False)
            runner.run(test, clear_globs=False)
            session.update(test.globs)
            assert runner.failures == 0, capsys.readouterr().out
            tried += len(test.examples)
        else:
            exec(compile(block, f"{page.name} {number}", "exec"), {"__name__": "example"})
            tried += 1
    assert tried
    if page.name == "interpreter.md":
        from harness.mil.__main__ import main

        capsys.readouterr()
        assert main(["show", "small.mlpackage"]) == 0
        assert capsys.readouterr().out in fences(page.read_text(encoding="utf-8"), "text")
        assert main(["run", "small.mlpackage", "inputs.npz"]) == 0


def test_code_that_is_shown_stands_in_the_sources() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "harness").rglob("*.py"))
    shown = [block for page in BY_HAND for block in fences(page.read_text(encoding="utf-8"), "py")]
    assert shown
    assert [block for block in shown if block not in source] == []


def test_causes_that_are_shown_stand_with_the_known_issues() -> None:
    folder = ROOT / "harness" / "evidence" / "causes"
    causes = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.yaml"))
    shown = [block for page in BY_HAND for block in fences(page.read_text(encoding="utf-8"), "yaml")]
    assert shown
    assert [block for block in shown if block not in causes] == []


def test_every_outcome_and_phase_is_explained() -> None:
    text = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (`.+?) \|", text.partition("## One check")[0], re.MULTILINE)
    assert {name for cell in table for name in re.findall(r"`(\w+)`", cell)} == {str(outcome) for outcome in Outcome}
    assert ", ".join(Phase) in text


# Commands and names.


def commands(text: str) -> list[list[str]]:
    """Words of every command: lines of `sh` blocks, and indented lines that begin as commands do."""
    lines = [line for block in fences(text, "sh") for line in block.splitlines()]
    lines += [line for line in _FENCE.sub("", text).splitlines() if re.match(r"    \S", line)]
    parts = [part.strip() for line in lines if line.strip() for part in line.split(" && ")]
    return [words for part in parts if (words := shlex.split(part, comments=True))]


def options_of_pytest(config: pytest.Config) -> set[str]:
    groups = [*config._parser._groups, config._parser._anonymous]
    return {name for group in groups for option in group.options for name in option.names()}


@functools.cache
def mil_commands() -> set[str]:
    """What `python -m harness.mil` takes as its first word, by its own help."""
    from harness.mil.__main__ import main

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main(["--help"])
    return set(re.search(r"\{([\w,]+)\}", shown.getvalue())[1].split(","))


def unknown(words: list[str], of_pytest: set[str]) -> str | None:
    """What a command names that does not exist; None for nothing."""
    words = words[2:] if words[:2] == ["caffeinate", "-i"] else words
    if words[:3] == ["python", "-m", "harness"]:
        words = ["coreml-harness", *words[3:]]
    elif words[:3] == ["python", "-m", "pytest"]:
        words = ["pytest", *words[3:]]
    name, rest = words[0].rpartition("/")[2], words[1:]
    flags = {word.partition("=")[0] for word in rest if word.startswith("-")}
    if name == "coreml-harness":
        if rest[0] not in cli.commands:
            return f"command {rest[0]}"
        known = {option for parameter in cli.commands[rest[0]].params for option in parameter.opts}
        return ", ".join(sorted(flags - known)) or None
    if name == "pytest":
        for flag, unit in pairwise(rest):
            if flag == "--unit":
                UnitSpec.parse(unit)
        missing = [word for word in rest if re.match(r"(suites|tests)\b", word) and not (ROOT / word).exists()]
        return ", ".join([*sorted(flags - of_pytest), *missing]) or None
    if name == "make":
        targets = re.findall(r"^([\w$()-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        asked = [word.replace(".venv/.ready", "$(READY)") for word in rest if "=" not in word]
        return ", ".join(sorted({*asked} - {*targets})) or None
    if name == "python" and rest[:2] == ["-m", "harness.mil"]:
        return None if rest[2] in mil_commands() else f"command {rest[2]} of harness.mil"
    if name == "python" and rest[:1] == ["-m"]:
        return None if importlib.util.find_spec(rest[1]) else f"module {rest[1]}"
    if name == "python" and "--" in rest:
        return unknown(rest[rest.index("--") + 1 :], of_pytest)
    if name == "python":
        return None if (ROOT / rest[0]).is_file() else f"file {rest[0]}"
    return None if name in {"git", "cd", "cp", "export", "pre-commit"} else f"program {name}"


@every([page for page in BY_HAND if commands(page.read_text(encoding="utf-8"))])
def test_commands_options_units_and_files_exist(page: Path, pytestconfig: pytest.Config) -> None:
    known = options_of_pytest(pytestconfig)
    found = {shlex.join(words): unknown(words, known) for words in commands(page.read_text(encoding="utf-8"))}
    assert {command: problem for command, problem in found.items() if problem} == {}


def test_a_command_that_does_not_exist_is_found(pytestconfig: pytest.Config) -> None:
    known = options_of_pytest(pytestconfig)
    text = """
    coreml-harness explain X --localize
    .venv/bin/coreml-harness explian X   # a comment

```sh
pytest suites/opps --levle smoke
make everything LEVEL=full && python tests/simulated/ran.py
python -m harness.nothing
python -m harness.mil levitate && python -m harness.mil show small.mlpackage
python tests/simulated/run.py -- python -m harness doctor --quick
```
"""
    assert [unknown(words, known) for words in commands(text)] == [
        *("--levle, suites/opps", "everything", "file tests/simulated/ran.py", "module harness.nothing"),
        *("command levitate of harness.mil", None, "--quick"),
        *("--localize", "command explian"),
    ]


@every(BY_HAND)
def test_checks_that_are_named_are_in_the_evidence(page: Path) -> None:
    # Those of Core ML's units are in no evidence from elsewhere: their cases are.
    ids = re.findall(r"(?<=')((?:ops|models)/[^'\s@*]+)@[^'@\s]+@\w+(?=')", page.read_text(encoding="utf-8"))
    lines = "\n".join(path.read_text(encoding="utf-8") for path in EVIDENCE) if ids else ""
    assert [case for case in ids if f'"case":"{case}"' not in lines] == []


@every([page for page in BY_HAND if page.name != "CHANGELOG.md"])
def test_files_that_are_named_exist(page: Path) -> None:
    named_ones = re.findall(r"`((?:\.github|benchmarks|docs|harness|reports|suites|tests)/[^`\s]*)`", page.read_text())
    plain = [re.split(r"/[^/]*[<*]", path)[0].partition("::")[0] for path in named_ones]
    assert [path for path in plain if not (ROOT / path).exists()] == []
