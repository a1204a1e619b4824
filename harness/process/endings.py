"""What the last lines of a dead process say: the line that names the fault, and the rest worth keeping."""

from __future__ import annotations

import functools
import itertools
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path

from harness.lowering.signatures import without_machine_paths

STDERR_LINES = 12
STDERR_CHARACTERS = 2000
#: What is looked at, so that patterns are quick on any flood: the last lines, and of each the beginning and the end.
LINES_READ, LINE_CHARACTERS = 5000, 1000
#: Innermost frames of the Python stack that are kept.
FRAMES = 6
#: The file in which every child's stack begins.
LOOP = "harness/process/serve.py"

#: Lines that name the fault, the most telling kind first. What is found is kept from the named group `said` on, or
#: whole; what precedes it is a date, the process and its number.
TELLING: tuple[tuple[str, str], ...] = (
    # MPSGraph and the GPU's compiler, by LLVM's report_fatal_error: pytorch/executorch issue 7904.
    ("LLVM", r"LLVM ERROR: .*"),
    # Foundation: apple/tensorflow_macos issues 50 and 99.
    ("Objective-C exception", r"\*\*\* Terminating app due to uncaught exception .*"),
    # MTLReportFailure of Metal's validation and of Metal Performance Shaders (pytorch/pytorch issue 84039), and macOS'
    # own `assert` (__assert_rtn in its libc).
    ("Metal", r"-\[\w+ [\w:]+\]:\d+: failed assertion .*"),
    ("Metal", r"(?P<said>[^\s/]+:\d+: failed assertion .*)"),
    ("assertion", r"Assertion failed: .*"),
    # glibc's assert: <program>: <file>:<line>: <function>: Assertion `...' failed.
    ("assertion", r"(?P<said>[^\s/]+:\d+: .*Assertion `.*' failed\.)"),
    # libc++abi (apple/coremltools issue 2757) and libstdc++ (its verbose terminate handler).
    ("C++ exception", r"libc\+\+abi(?:\.dylib)?: terminating .*"),
    ("C++ exception", r"terminate called after throwing .*"),
    # Swift's fatalError and preconditions: <module>/<file>:<line>: Fatal error: <message> (docs of `fatalError`).
    ("Swift", r"(?P<said>[^\s/]+:\d+: Fatal error: .*|Fatal error: .*)"),
    # The Objective-C runtime's _objc_fatal, as after a fork: apple/coremltools issue 1819.
    ("Objective-C runtime", r"objc\[\d+\]: (?P<said>.*)"),
    # Heap checks of macOS' malloc (man 3 malloc) and of glibc (malloc_printerr).
    ("heap", r"malloc: (?:\*\*\* )?error for object .*"),
    ("heap", r"(?:free|malloc|realloc|munmap_chunk)\(\): .*|(?:double free or corruption|corrupted (?:size|double)).*"),
    # c10's and glog's CHECK, ExecuTorch's ET_CHECK (runtime/platform/assert.h).
    ("check", r"(?P<said>(?:Check failed|assert failed)\b.*)"),
    # The Neural Engine's compiler, before a death without words: apple/coremltools issue 2758.
    ("Core ML runtime", r"E5RT(?: encountered|:) .*"),
    # CPython's Py_FatalError; what its faulthandler says of a signal is known from the signal.
    ("Python", r"Fatal Python error: .*"),
)
_TELLING = tuple((kind, re.compile(pattern)) for kind, pattern in TELLING)

# The form of CPython's faulthandler (Doc/library/faulthandler.rst).
_SIGNAL_NAMES = "Segmentation fault|Aborted|Bus error|Illegal instruction|Floating[- ]point exception"
_OF_A_SIGNAL = re.compile(rf"Fatal Python error: (?:{_SIGNAL_NAMES})$")
_THREAD = re.compile(r"(?P<current>Current thread|Thread) 0x[0-9a-f]+.*\(most recent call first\):$")
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+|\?\?\?) in (?P<function>.+)$')
_NOISE = re.compile(r"Extension modules: |  <no Python frame>$|  \.\.\.$|Python runtime state: |  Garbage-collecting$")


@dataclass(frozen=True)
class Ending:
    """`telling` is the line that names the fault, empty where none is known; `text` what is kept: it first, then the
    last lines of stderr, then the innermost Python frames. `place` is the innermost: `predict (coremltools/model.py)`.
    """

    telling: str = ""
    text: str = ""
    place: str = ""


@dataclass
class _Thread:
    current: bool
    frames: list[tuple[str, str, str]] = field(default_factory=list)


def read_ending(stderr: str) -> Ending:
    """What a process left on stderr, its own words told from the stacks `faulthandler` writes.

    >>> read_ending("loc(x): error: no\\nLLVM ERROR: Failed to infer result type(s).\\n").text
    'LLVM ERROR: Failed to infer result type(s).\\nloc(x): error: no'
    """
    words: list[str] = []
    threads: list[_Thread] = []
    for line in map(_short, stderr.splitlines()[-LINES_READ:]):
        if header := _THREAD.match(line):
            threads.append(_Thread(header["current"] == "Current thread"))
        elif threads and (frame := _FRAME.match(line)):
            threads[-1].frames.append((without_machine_paths(frame["file"]), frame["line"], frame["function"]))
        elif line.strip() and not _NOISE.match(line) and not _OF_A_SIGNAL.match(line):
            words.append(without_machine_paths(line.rstrip()))
    told = _telling(words)
    kept = words[-STDERR_LINES:]
    if told is not None:
        number, telling = told
        kept = [telling, *(line for i, line in enumerate(words) if i != number and i >= len(words) - STDERR_LINES)]
    frames = _stack(threads)
    stack = "".join(f"\n  in {name} ({file}:{line})" for file, line, name in frames[:FRAMES])
    return Ending(
        telling=kept[0] if told is not None else "",
        text=_cut("\n".join(kept), STDERR_CHARACTERS - len(stack), bool(told)) + stack if kept else stack[1:],
        place=f"{frames[0][2]} ({frames[0][0]})" if frames else "",
    )


def _short(line: str) -> str:
    half = LINE_CHARACTERS // 2
    return line if len(line) <= LINE_CHARACTERS else f"{line[:half]} ... {line[-half:]}"


def _telling(words: list[str]) -> tuple[int, str] | None:
    """The number of the first line of the most telling kind, and what of it is said."""
    for _, pattern in _TELLING:
        for number, line in enumerate(words):
            if found := pattern.search(line):
                return number, found.groupdict().get("said") or found.group()
    return None


def _stack(threads: list[_Thread]) -> list[tuple[str, str, str]]:
    """Of the thread in which it happened, or of the main one, which is listed last; without the harness' own loop."""
    frames = next((t.frames for t in threads if t.current and t.frames), threads[-1].frames if threads else [])
    return list(itertools.takewhile(lambda frame: frame[0] != LOOP, frames))


def _cut(text: str, limit: int, keep_first: bool) -> str:
    """The end of it; with its first line, where that is the telling one."""
    if len(text) <= limit:
        return text
    first, _, rest = text.partition("\n")
    if not keep_first:
        return text[-limit:]
    first = first[: limit // 2]
    rest = rest[-(limit - len(first) - 1) :]
    return f"{first}\n{rest}" if rest else first


def signal_name(code: int) -> str:
    """`SIGABRT` for the return code -6, `exit code 3` for 3."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def memory_kills() -> int:
    """How often the kernel killed a process for want of memory: in our control group where it counts that, else on
    this machine. 0 where nobody counts (macOS)."""
    for path in _counters():
        try:
            for line in path.read_bytes().splitlines():
                name, _, value = line.partition(b" ")
                if name == b"oom_kill":
                    return int(value)
        except (OSError, ValueError):
            continue
    return 0


@functools.cache
def _counters() -> tuple[Path, ...]:
    """Looked up once: a process stays in its control group, and the counters are read for each check."""
    # Linux: Documentation/admin-guide/cgroup-v2.rst (memory.events), proc(5) (vmstat).
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ()
    events = (Path(f"/sys/fs/cgroup{line[3:]}/memory.events") for line in groups if line.startswith("0::"))
    return (*(path for path in events if path.exists()), Path("/proc/vmstat"))
