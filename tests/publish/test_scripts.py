import ast

import pytest

from harness.evidence.causes import Cause, Script, read_causes
from harness.publish.scripts import build_scripts, source

NEGATES = Script(module="def forward(self, x):\n    return -x", inputs="(torch.ones(2),)")


def cause(script, title="neg is off"):
    return Cause("neg-off", title, "converter", "sees", "It says `\\d`.", "ops.py neg", (), script=script)


def made(**fields):
    script = Script(**{"module": NEGATES.module, "inputs": NEGATES.inputs} | fields)
    return source(cause(script), script)


@pytest.mark.parametrize(
    ("fields", "says", "says_not"),
    [
        ({}, "type_value_inference", "executorch"),
        ({"rtol": 0.25}, "rtol=0.25", "executorch"),
        ({"precision": "fp16"}, "ct.precision.FLOAT16", "FLOAT32"),
        ({"compared": "shape"}, "actual == expected", "value_inference"),
        ({"refused": "not main.inputs"}, "refused = not main.inputs\n", "value_inference"),
        ({"refused": "not main.inputs"}, "raise SystemExit(not refused)", "executorch"),
        ({"refused": "not main.inputs", "precision": "fp16"}, "ct.precision.FLOAT16", "FLOAT32"),
        ({"error": "boom"}, 'raise SystemExit("boom" not in actual)', "executorch"),
        ({"error": 'a "b"'}, "raise SystemExit('a \"b\"' not in actual)", "executorch"),
        ({"error": "assert x"}, "traceback.extract_tb", "executorch"),
        ({"error": "boom", "through": "partitioner"}, "CoreMLPartitioner()])\n", "to_executorch()"),
        ({"error": "boom", "through": "to_executorch"}, "CoreMLPartitioner()]).to_executorch()", "ct.convert"),
        ({"error": "x", "through": "partitioner", "partitioner": "a=1"}, "[CoreMLPartitioner(a=1)])\n", "ct.convert"),
        ({"error": "boom", "expected": "a tensor"}, "expected: a tensor", "expected: it converts"),
        ({"setup": "N = 3"}, "\n\nN = 3\n\n\nclass Module", "executorch"),
        ({"module": "def forward(self, x):\n    return F.relu(x)"}, "import torch.nn.functional as F", "executorch"),
    ],
)
def test_a_script_is_python_that_says_what_its_fields_do(fields, says, says_not):
    text = made(**fields)
    assert says in text
    assert says_not not in text
    assert ast.get_docstring(ast.parse(text)) == "Neg is off.\n\nIt says `\\d`."


def test_scripts_written_by_hand_are_not_generated():
    assert build_scripts([cause("own"), cause("")]) == {}
    assert list(build_scripts([cause(NEGATES)])) == ["findings/neg-off.py"]


def test_scripts_of_the_package_are_short():
    lines = {name: text.count("\n") for name, text in build_scripts(read_causes()).items()}
    assert lines
    assert {name: count for name, count in lines.items() if count > 36} == {}
