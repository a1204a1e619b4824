from __future__ import annotations

import doctest

import pytest

from harness.lowering import signatures as signatures_module
from harness.lowering.signatures import MESSAGE_LIMIT, SIGNATURE_LIMIT, error_info, signature

#: Messages of one fault as two cases show it.
EQUAL = {
    "value names": (
        'Op "aten_layer_norm_default" (op_type: layer_norm) Input gamma must be const at compile time',
        'Op "aten_layer_norm_default_3" (op_type: layer_norm) Input gamma must be const at compile time',
    ),
    "input names": ("('must be const', 'gamma', 'tensors_1')", "('must be const', 'gamma', 'tensors_12')"),
    "constants": ("Concat concat_30 got 0 values", "Concat concat_7 got 0 values"),
    "shapes": ("shape (2, 3) does not match [4,]", "shape (5, 6, 7) does not match [1, 2]"),
    "numpy scalars": (
        "Invalid target shape in `reshape` op ((2, 3) to [np.int32(1), np.int32(6)]).",
        "Invalid target shape in `reshape` op ((2, 3, 4) to [np.int32(1), np.int32(6), np.int64(4)]).",
    ),
    "numbers": ("axis 3 is out of bounds, got -1.5e-3", "axis -12 is out of bounds, got 7"),
    "addresses": ("<object at 0x7f3a1c>", "<object at 0xDEADBEEF>"),
    "paths": ("cannot open /usr/lib/a.so", "cannot open /opt/other/lib-1/b.so"),
    "package identifiers": (
        "no such file executorch_ec581ca2-3471-41f4-8f04-08efc28652ad",
        "no such file executorch_aaf2b123-44eb-489b-a12f-6cd1f421a1a9",
    ),
    "tensors": ("expected scalar, got tensor([1., 2.])", "expected scalar, got tensor([[0.5],\n [2.]])"),
    "later lines": ("it failed\nat line 3", "it failed\nat line 99, elsewhere"),
    "blank first lines": ("\n\n  it failed", "it failed"),
    "addresses of pages": ("see https://a.org/1.5/x.html.", "see https://a.org/1.6/x.html."),
    "spaces": ("it   failed", "it failed"),
}  # fmt: skip

#: Messages that only look alike.
DIFFERENT = {
    "operators": (
        "Operator torch._ops.aten.addmv.default is not in Core ATen opset",
        "Operator torch._ops.aten.addbmm.default is not in Core ATen opset",
    ),
    "overloads": ("no lowering of aten.mean.dim", "no lowering of aten.mean.default"),
    "MIL operators": ("(op_type: layer_norm) failed", "(op_type: instance_norm) failed"),
    "parameters": ("Input gamma must be const", "Input beta must be const"),
    "dtypes": ("KeyError: torch.uint8", "KeyError: torch.int8"),
}


@pytest.mark.parametrize("what", EQUAL)
def test_equal_faults_have_equal_signatures(what: str) -> None:
    first, second = EQUAL[what]
    assert signature("ValueError", first) == signature("ValueError", second)


@pytest.mark.parametrize("what", DIFFERENT)
def test_different_faults_have_different_signatures(what: str) -> None:
    first, second = DIFFERENT[what]
    assert signature("ValueError", first) != signature("ValueError", second)


def test_the_type_is_part_of_the_signature() -> None:
    assert signature("KeyError", "x") != signature("ValueError", "x")
    assert signature("KeyError", "") == "KeyError"


@pytest.mark.parametrize(
    "operator", ["aten.asinh.default", "torch._ops.aten.polygamma.default", "aten::native_layer_norm"]
)
def test_operators_stay_readable(operator: str) -> None:
    assert operator in signature("RuntimeError", f"Operator {operator} has no kernel")


def test_a_page_address_is_not_taken_for_a_path() -> None:
    text = signature("SpecViolationError", "not Core ATen (https://pytorch.org/docs/stable/ir.html#core-aten-ir).")
    assert "<path>" not in text
    assert "<url>" in text


def test_the_signature_is_the_same_a_second_time() -> None:
    for first, _ in [*EQUAL.values(), *DIFFERENT.values()]:
        once = signature("E", first).removeprefix("E: ")
        assert signature("E", once) == f"E: {once}"


def test_long_messages_are_cut() -> None:
    info = error_info(ValueError("word " * 2000))
    assert len(info.message) == MESSAGE_LIMIT
    assert len(info.signature) == SIGNATURE_LIMIT


def test_an_exception_without_a_message_is_told_by_its_place() -> None:
    def converter() -> None:
        raise AssertionError

    def another() -> None:
        raise AssertionError

    signatures = []
    for function in (converter, another):
        with pytest.raises(AssertionError) as caught:
            function()
        signatures.append(error_info(caught.value).signature)
    assert signatures == ["AssertionError: in converter", "AssertionError: in another"]
    assert error_info(AssertionError()).signature == "AssertionError"


def test_the_examples_in_the_docstrings() -> None:
    assert doctest.testmod(signatures_module).failed == 0


def test_a_message_names_no_place_of_this_machine():
    error = ValueError('File "/home/me/harness/cases/opinfo.py", line 162; see https://a.org/b/c and a/b')
    message = error_info(error).message
    assert message == 'File "harness/cases/opinfo.py", line 162; see https://a.org/b/c and a/b'
