import logging

import pytest
import torch

from harness.lowering import speedups


@pytest.fixture(scope="module", autouse=True)
def _measuring():
    torch.set_num_threads(1)
    import executorch.backends.apple.coreml.partition  # noqa: F401

    speedups.enable()


@pytest.fixture(autouse=True)
def _quiet():
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
