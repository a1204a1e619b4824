from pathlib import Path

from plain_python import run


def test_the_runner_tells_what_each_script_did(tmp_path):
    sources = {
        "fine": "print('shown')\nraise SystemExit(0)",
        "mended": "print('not shown')\nraise SystemExit(1)",
        "broken": "import torch_of_another_name",
        "ours": "import harness",
        "dead": "import os\nos._exit(7)",
        "last": "print('shown')",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    answers = {
        Path(path).stem: answer for path, answer in run([tmp_path / f"{n}.py" for n in sources], tmp_path).items()
    }
    assert answers["fine"] == (0, "shown\n")
    assert answers["mended"] == (1, "not shown\n")
    assert "ModuleNotFoundError" in answers["broken"][0]
    assert "import of harness halted" in answers["ours"][0]
    assert answers["dead"][0] == "ended the process (code 7)"
    assert answers["last"] == (None, "shown\n")
