"""Exceptions as evidence: type, message, and a signature stable enough to group by."""

from __future__ import annotations

import re
import traceback

from harness.evidence.record import ErrorInfo

#: Characters of a message: tracebacks of nested exceptions may have tens of thousands.
MESSAGE_LIMIT = 8000
SIGNATURE_LIMIT = 160

#: What changes from case to case in a message about the same fault, in this order.
_VARIABLE_PARTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"0x[0-9a-fA-F]+"), "<address>"),
    (re.compile(r"\bhttps?://[^\s)\"'>]+"), "<url>"),
    (re.compile(r"(?<![\w.])(?:/[\w.+@-]+){2,}"), "<path>"),
    (re.compile(r"executorch_[0-9a-f]{8}-[0-9a-f-]+"), "<identifier>"),
    (re.compile(r"tensor\(.*", re.DOTALL), "tensor(...)"),
    # Names of values: aten_add_tensor_3, arg0_1, x_to_fp16, _inversed_17. Operators keep their names.
    (re.compile(r"\b(?:[a-z]\w*_)?(?:aten|arg|getitem|lowered_module|alloc|b|p|c)_\w+\b"), "<name>"),
    (re.compile(r"\b([A-Za-z_]\w*?)_\d+\b"), r"\1_N"),
    (re.compile(r"(?<![\w])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])"), "N"),
    (re.compile(r"\bnp\.u?(?:int|float)\d+\(N\)"), "N"),
    (re.compile(r"[\[(]\s*N(?:\s*,\s*N)*\s*,?\s*[\])]"), "<shape>"),
    (re.compile(r"\s+"), " "),
)


def error_info(error: BaseException) -> ErrorInfo:
    """The exception as it goes into a record; the first telling line makes the signature.

    One that says nothing (a bare `assert`) is told from others by the function that raised it.
    """
    message = without_machine_paths(str(error).strip()) or _place(error)
    return ErrorInfo(type(error).__name__, message[:MESSAGE_LIMIT], signature(type(error).__name__, message))


_PATH = re.compile(r"(?<![\w.:/])/(?:[\w.+@-]+/)+[\w.+@-]+")
#: What comes before these folders is the machine's, not the fault's.
_ROOTS = ("site-packages/", "harness/")


def without_machine_paths(text: str) -> str:
    """Absolute paths cut to what lies in the packages or in the harness, others to their last part.

    >>> without_machine_paths('File "/home/me/v/lib/python3.11/site-packages/torch/_ops.py", line 3; see /tmp/x/a.mil')
    'File "torch/_ops.py", line 3; see a.mil'
    """

    def cut(match: re.Match[str]) -> str:
        path = match.group()
        for root in _ROOTS:
            before, found, rest = path.rpartition(root)
            if found and before.endswith("/"):
                return rest if root == "site-packages/" else root + rest
        return path.rsplit("/", 1)[1]

    return _PATH.sub(cut, text)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"in {frames[-1].name}" if frames else ""


def signature(type_name: str, message: str) -> str:
    """Equal for equal faults: values' names, numbers, shapes, paths and addresses are replaced.

    >>> signature("ValueError", "Op 'x_12' has shape (2, 3)")
    "ValueError: Op 'x_N' has shape <shape>"
    """
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    for pattern, replacement in _VARIABLE_PARTS:
        line = pattern.sub(replacement, line)
    return f"{type_name}: {line.strip()}"[:SIGNATURE_LIMIT] if line else type_name
