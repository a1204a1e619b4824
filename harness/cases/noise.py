"""What installed packages say while a user's file imports them is kept from the user; what the file says is not."""

from __future__ import annotations

import contextlib
import logging
import os
import site
import sysconfig
import warnings
from collections.abc import Iterator
from typing import Any

#: Below the level of any handler.
_UNHEARD = -1


@contextlib.contextmanager
def packages_silent() -> Iterator[None]:
    """While it lasts, what installed packages log or warn of goes nowhere, errors aside.

    They complain about each other's versions, and of parts that are not for this system, to whoever imports them.
    """
    packages = _package_folders()
    make_record, show = logging.getLogRecordFactory(), warnings.showwarning

    def record(*arguments: Any, **options: Any) -> logging.LogRecord:
        made = make_record(*arguments, **options)
        if made.levelno < logging.ERROR and made.pathname.startswith(packages):
            made.levelno = _UNHEARD
        return made

    def warning(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        if not filename.startswith(packages):
            show(message, category, filename, lineno, file, line)

    logging.setLogRecordFactory(record)
    warnings.showwarning = warning
    try:
        yield
    finally:
        logging.setLogRecordFactory(make_record)
        warnings.showwarning = show


def _package_folders() -> tuple[str, ...]:
    """Where this Python has its own modules and installed ones, each with a separator at its end."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {site.getusersitepackages()}
    return tuple(os.path.join(folder, "") for folder in folders)
