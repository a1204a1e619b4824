import torch

from harness.cases.case import Method
from harness.cases.exporting import program_of


def test_a_method_is_exported_with_its_keyword_arguments_and_dynamic_shapes():
    dim = torch.export.Dim("batch")
    method = Method("forward", torch.nn.ReLU(), (torch.ones(2, 3),), dynamic_shapes=({0: dim},))
    assert program_of(method).range_constraints


def test_a_program_that_the_user_exported_is_itself():
    program = torch.export.export(torch.nn.ReLU(), (torch.ones(2),))
    assert program_of(Method("forward", program.module(), (torch.ones(2),), program=program)) is program
