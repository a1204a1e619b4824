import logging
import sysconfig
import warnings
from pathlib import Path

import pytest

from harness.cases.noise import packages_silent

INSTALLED = str(Path(sysconfig.get_paths()["purelib"]) / "some_package" / "module.py")
MINE = "/home/me/project/mine.py"


def log(name, level, path):
    logger = logging.getLogger(name)
    logger.handle(logger.makeRecord(name, level, path, 1, f"from {Path(path).name}", (), None))


@pytest.fixture
def heard():
    """What reaches a handler of a logger that sends nothing further."""
    logger = logging.getLogger("some_package")
    messages = []

    class Keep(logging.Handler):
        def emit(self, record):
            messages.append((record.levelname, record.getMessage()))

    handler = Keep()
    logger.addHandler(handler)
    logger.propagate = False
    yield messages
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.parametrize(
    ("level", "path", "is_heard"),
    [
        (logging.WARNING, INSTALLED, False),
        (logging.INFO, logging.__file__, False),
        (logging.WARNING, MINE, True),
        (logging.ERROR, INSTALLED, True),
    ],
)
def test_log_records_of_packages_go_nowhere_unless_they_are_errors(heard, level, path, is_heard):
    logging.getLogger("some_package").setLevel(logging.DEBUG)
    with packages_silent():
        log("some_package", level, path)
    assert heard == ([(logging.getLevelName(level), f"from {Path(path).name}")] if is_heard else [])
    log("some_package", level, path)
    assert len(heard) == 1 + is_heard


def test_warnings_of_packages_go_nowhere_and_others_are_shown(capsys, recwarn):
    def warn_everywhere():
        for path in (INSTALLED, logging.__file__, MINE):
            warnings.showwarning(UserWarning(f"from {Path(path).name}"), UserWarning, path, 1)

    with packages_silent():
        warn_everywhere()
    told = [str(one.message) for one in recwarn.list] + capsys.readouterr().err.splitlines()
    assert any("from mine.py" in line for line in told)
    assert not any("module.py" in line or "__init__.py" in line for line in told)


def test_afterwards_all_is_as_before():
    before = logging.getLogRecordFactory(), warnings.showwarning
    with pytest.raises(ZeroDivisionError), packages_silent():
        1 / 0  # noqa: B018
    assert (logging.getLogRecordFactory(), warnings.showwarning) == before
