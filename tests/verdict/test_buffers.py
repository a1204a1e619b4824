import pytest
import torch

from harness.evidence.notes import Note, NoteCode
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering.program import Delegate, LoweredProgram
from harness.verdict.buffers import begun, both, judge_buffers
from harness.verdict.compare import Verdict
from harness.verdict.oracle import InvalidCase
from harness.verdict.table import rule_for

X = torch.tensor([[0.5, -1.25, 2.0]])


class Averages(torch.nn.Module):
    """Writes to both of its buffers, and reads neither in its result."""

    def __init__(self) -> None:
        super().__init__()
        self.part = torch.nn.Module()
        self.part.register_buffer("mean", torch.tensor([1.0, 2.0, 3.0]))
        self.register_buffer("calls", torch.zeros(1, dtype=torch.int32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.part.mean.copy_(self.part.mean * 0.7 + x[0] * 0.3)
        self.calls.add_(1)
        return x * 2


RULE = rule_for("module.averages", ["aten.mul.Tensor", "aten.mul.Tensor", "aten.add.Tensor", "aten.add_.Tensor"])
WRITTEN = ("part.mean", "calls")


def judge(mean: list[float], calls: float, precision: str = "fp16") -> Verdict:
    # As a unit hands them out: states are float16, whatever the buffer is.
    got = {"part.mean": torch.tensor(mean, dtype=torch.float16), "calls": torch.tensor([calls], dtype=torch.float16)}
    return judge_buffers(got, WRITTEN, Averages(), (X,), RULE, precision)


#: What eager leaves in `part.mean`.
MEAN = [0.85, 1.025, 2.7]


def test_what_eager_leaves_is_right() -> None:
    verdict = judge(MEAN, 1)
    assert (verdict.outcome, verdict.phase) == (Outcome.PASS, Phase.VALUE)
    assert verdict.numerics is not None


def test_another_value_is_named_by_its_buffer() -> None:
    verdict = judge([MEAN[0], 1.25, MEAN[2]], 1)
    assert verdict.outcome is Outcome.WRONG_VALUE
    assert verdict.reason.startswith("buffer part.mean[1]: got 1.25, expected 1.025")
    assert verdict.numerics is not None
    assert verdict.numerics.at == "buffer part.mean[1]"


def test_a_counter_is_exact() -> None:
    verdict = judge(MEAN, 0)
    assert verdict.outcome is Outcome.WRONG_VALUE
    assert verdict.reason.startswith("buffer calls[0]: got 0, expected 1 exactly")


def test_rounding_to_the_state_is_within_fp16_and_not_within_fp32() -> None:
    assert judge(MEAN, 1, "fp16").outcome is Outcome.PASS
    assert judge(MEAN, 1, "fp32").outcome is Outcome.WRONG_VALUE


def test_a_buffer_without_a_value_is_lost() -> None:
    verdict = judge_buffers({"calls": torch.ones(1)}, WRITTEN, Averages(), (X,), RULE, "fp16")
    assert verdict.outcome is Outcome.WRONG_VALUE
    assert verdict.reason.startswith("buffer part.mean: what is written to it is lost")


def test_a_name_that_is_no_buffer_is_the_cases_fault() -> None:
    with pytest.raises(InvalidCase, match="no buffer 'variance'"):
        judge_buffers({"variance": X}, ("variance",), Averages(), (X,), RULE, "fp16")


OF_OUTPUTS, OF_BUFFERS = Note(NoteCode.NO_ROW, "of the outputs"), Note(NoteCode.NO_ROW, "of the buffers")


def test_outputs_speak_first() -> None:
    right = Verdict(Outcome.PASS, Phase.VALUE, notes=[OF_OUTPUTS])
    wrong = Verdict(Outcome.WRONG_VALUE, Phase.VALUE, reason="output 0")
    lost = Verdict(Outcome.WRONG_VALUE, Phase.VALUE, reason="buffer total", notes=[OF_BUFFERS])
    assert both(right, right) == right
    assert both(wrong, lost) == wrong
    assert both(right, lost).reason == "buffer total"
    assert both(right, lost).notes == [OF_OUTPUTS, OF_BUFFERS]


@pytest.mark.parametrize(
    ("states", "noted"),
    [(("part.mean", "calls"), ["part.mean"]), (("calls",), []), ((), [])],
)
def test_a_state_that_begins_at_another_value_than_zero_is_noted(states: tuple[str, ...], noted: list[str]) -> None:
    program = LoweredProgram((), (), (), (Delegate(b"", (), (), {}, buffers=states),))
    assert begun(Averages(), program) == [Note(NoteCode.STATE_NOT_ZERO, name) for name in noted]
