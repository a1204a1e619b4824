import ast

import pytest

from harness.publish.call_script import call_script

GELU = "aten.gelu.default"


def test_a_call_becomes_a_script_with_its_arguments(record):
    text = call_script(record(GELU, api=GELU, call="gelu(float32[2, 3], approximate='tanh')"))
    ast.parse(text)
    assert "return torch.ops.aten.gelu.default(x0, approximate='tanh')" in text
    assert "inputs = (torch.randn(2, 3), )" in text
    assert "compute_precision=ct.precision.FLOAT16, minimum_deployment_target=ct.target.iOS18" in text


def test_constants_are_held_by_the_module_and_options_are_kept(record):
    call = "where(bool[3], float32[3, low=0.5, high=2.0, constant=True], int8[3, 4, layout='transposed'])"
    text = call_script(record("aten.where.self", "unsupported", call=call, recipe="default"))
    ast.parse(text)
    assert 'self.register_buffer("constant0", torch.rand(3) * 1.5 + 0.5)' in text
    assert "torch.ops.aten.where(x0, self.constant0, x1)" in text
    assert "torch.rand(3) > 0.5" in text
    assert "(torch.randint(0, 2, (3, 4))).to(torch.int8)" in text
    assert ".transpose(-1, -2).contiguous()" in text
    assert "CoreMLPartitioner()" in text


@pytest.mark.parametrize(
    ("op", "call"),
    [
        (GELU, ""),
        (GELU, "x + torch.tril(x)"),
        (GELU, "softmin(float32[3])"),
        ("torch.conj", "conj(float32[3])"),
        (GELU, "gelu(self.held)"),  # what the call holds is not told
        (GELU, "gelu(float32[3], approximate=x)"),
    ],
)
def test_what_is_no_call_of_the_operator_gives_none(record, op, call):
    assert call_script(record(op, call=call)) == ""


def test_dtypes_and_formats_are_those_of_torch(record):
    shown = "to(float32[2], dtype=torch.bool, memory_format=contiguous_format, layout=strided, low=-inf)"
    text = call_script(record("aten.to.dtype", call=shown))
    assert "dtype=torch.bool, memory_format=torch.contiguous_format, layout=torch.strided, low=float('-inf')" in text


def test_the_script_lowers_what_it_says(record, capfd):
    text = call_script(record(GELU, api=GELU, call="gelu(float32[2, 3])"))
    exec(compile(text, "script", "exec"), {"__name__": "script"})
    out = capfd.readouterr().out
    assert "executorch 1.5" in out
    assert "executorch_call_delegate" in out
