from __future__ import annotations

import zipfile

import pytest
import torch

from harness.cases import exported_file
from harness.evidence.vocabulary import HarnessError


class Scaled(torch.nn.Module):
    def forward(self, x, *, by):
        return x * by


def saved(path, program):
    torch.export.save(program, path)
    return path


def test_the_program_is_called_with_the_inputs_it_was_exported_with(tmp_path):
    x = torch.rand(3)
    path = saved(tmp_path / "mine.pt2", torch.export.export(Scaled(), (x,), {"by": torch.tensor(2.0)}))
    case = exported_file.case(path)
    assert (case.id, case.kind, case.named) == ("check/mine/forward", "user", False)
    built = case.build()
    assert isinstance(built.program, torch.export.ExportedProgram)
    assert torch.equal(built.module(*built.inputs, **built.kwargs), x * 2)


def test_what_is_no_file_of_torch_export_save_is_refused_before_torch_reads_it(tmp_path):
    whole = saved(tmp_path / "whole.pt2", torch.export.export(torch.nn.ReLU(), (torch.ones(2),))).read_bytes()
    for name, content in (("cut.pt2", whole[: len(whole) // 2]), ("empty.pt2", b""), ("text.pt2", b"x" * 500)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HarnessError, match=rf"{name}: not a whole file of torch\.export\.save"):
            exported_file.case(tmp_path / name)
    with pytest.raises(HarnessError, match="no such file"):
        exported_file.case(tmp_path / "nowhere.pt2")


def test_another_archive_and_one_without_inputs_are_refused_in_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("a/b", "c")
    with pytest.raises(HarnessError, match=r"other\.pt2: cannot be read by torch\.export\.load: \w+: ") as caught:
        exported_file.case(tmp_path / "other.pt2").build()
    assert "\n" not in str(caught.value)
    program = torch.export.export(torch.nn.ReLU(), (torch.ones(2),))
    program.example_inputs = None
    with pytest.raises(HarnessError, match=r"bare\.pt2: holds no example inputs"):
        exported_file.case(saved(tmp_path / "bare.pt2", program)).build()
