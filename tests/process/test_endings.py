import doctest
import time

import pytest

from harness.lowering.signatures import signature
from harness.process import endings
from harness.process.child import STDERR_BYTES
from harness.process.endings import FRAMES, STDERR_CHARACTERS, STDERR_LINES, read_ending, signal_name

#: What faulthandler writes when a signal ends the process, in a child of the harness.
STACK = """Fatal Python error: Aborted

Thread 0x00007f0000000001 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait

Current thread 0x00007f0000000002 [Thread-3] (most recent call first):
  File "/home/me/v/lib/python3.11/site-packages/coremltools/models/model.py", line 560 in predict
  File "/home/me/src/harness/units/coreml.py", line 300 in predict
  File "/home/me/src/harness/process/serve.py", line 37 in serve
  File "<frozen runpy>", line 88 in _run_code

Extension modules: numpy._core, torch._C (total: 2)
"""

#: Words as published by those who met them (the sources stand beside the patterns), with what is cut from each.
SAID = {
    "LLVM": ("", "LLVM ERROR: Failed to infer result type(s)."),
    "Objective-C": (
        "2020-12-03 19:06:42.765 Python[26957:1076199] ",
        "*** Terminating app due to uncaught exception 'NSRangeException', reason: '*** -[__NSArrayM insert]: nil'",
    ),
    "MPS": (
        "/AppleInternal/Library/BuildRoots/20d6c351-ee94/Library/Caches/com.apple.xbs/Sources/MPSCore/Types/",
        "MPSNDArray.mm:705: failed assertion `[MPSNDArray initWithDevice:] Error: product of dimension sizes > 2**31'",
    ),
    "Metal": ("", "-[MTLDebugDevice newBufferWithLength:options:]:642: failed assertion `Buffer Validation'"),
    "macOS assert": ("", "Assertion failed: (index < size), function at, file array.cpp, line 12."),
    "glibc assert": ("python: /build/src/", "array.cpp:12: int at(int): Assertion `index < size' failed."),
    "libc++abi": ("", "libc++abi: terminating due to uncaught exception of type std::__1::ios_base::failure: no file"),
    "older libc++abi": ("", "libc++abi.dylib: terminating with uncaught exception of type NSException"),
    "libstdc++": ("", "terminate called after throwing an instance of 'std::bad_alloc'"),
    "Swift": ("CoreML/", "Plan.swift:88: Fatal error: Index out of range"),
    "Swift without a place": ("", "Fatal error: Index out of range"),
    "objc": (
        "objc[4711]: ",
        "+[NSNumber initialize] may have been in progress in another thread when fork() was called.",
    ),
    "macOS malloc": (
        "python(4711,0x1f5) ",
        "malloc: *** error for object 0x600: pointer being freed was not allocated",
    ),
    "glibc malloc": ("", "free(): invalid pointer"),
    "glibc double free": ("", "double free or corruption (out)"),
    "glibc lists": ("", "corrupted double-linked list"),
    "ExecuTorch": ("F 00:00:00.000001 executorch:tensor.h:7] In function f(), ", "assert failed (dim < rank): dim 3"),
    "c10": ("[F1122 09:00:00 Module.cpp:3] ", "Check failed: size > 0 (0 vs. 0)"),
    "ANE": ("", "E5RT encountered an STL exception. msg = MILCompilerForANE error: ANECCompile() FAILED."),
    "ANE, shorter": ("", "E5RT: MILCompilerForANE error: failed to compile ANE model using ANEF."),
    "Python": ("", "Fatal Python error: _PyThreadState_Attach: non-NULL old thread state"),
}


@pytest.mark.parametrize("name", SAID)
def test_the_telling_line_comes_first_whatever_follows_it(name):
    before, telling = SAID[name]
    many = "\n".join(f"afterwards {n}" for n in range(40))
    ending = read_ending(f"a warning\n{before}{telling}\n{many}\n{STACK}")
    assert ending.telling == telling
    lines = ending.text.splitlines()
    assert lines[0] == telling
    assert lines[-3] == "afterwards 39"
    assert lines[-2:] == [
        "  in predict (coremltools/models/model.py:560)",
        "  in predict (harness/units/coreml.py:300)",
    ]
    assert ending.place == "predict (coremltools/models/model.py)"


def test_every_pattern_has_an_example():
    told = ["".join(said) for said in SAID.values()]
    for kind, pattern in endings._TELLING:
        assert any(pattern.search(line) for line in told), (kind, pattern.pattern)


@pytest.mark.parametrize(
    "line", ["free space: 3 GB", "mallocs are fine", "an assertion", "objc is a language", "x LLVM"]
)
def test_other_lines_tell_nothing(line):
    ending = read_ending(line)
    assert (ending.telling, ending.text) == ("", line)


def test_equal_faults_have_equal_signatures_on_any_machine():
    one = read_ending("/AppleInternal/BuildRoots/20d6/MPSNDArray.mm:705: failed assertion `[X y] Error: 3 > 2'").telling
    two = read_ending("/AppleInternal/BuildRoots/f00d/MPSNDArray.mm:782: failed assertion `[X y] Error: 9 > 4'").telling
    assert signature("SIGABRT", one) == signature("SIGABRT", two) != "SIGABRT"
    assert "AppleInternal" not in one


def test_without_a_telling_line_the_last_ones_are_kept():
    ending = read_ending("\n".join(f"line {n}" for n in range(100)))
    assert ending.text.splitlines() == [f"line {n}" for n in range(100 - STDERR_LINES, 100)]
    assert ending.telling == ""


def test_a_stack_alone_is_the_whole_text():
    ending = read_ending(STACK)
    assert ending.text.splitlines()[0] == "  in predict (coremltools/models/model.py:560)"
    assert "Extension modules" not in ending.text
    assert ending.telling == ""


def test_of_a_hang_it_is_the_stack_of_the_main_thread():
    hung = STACK.replace("Current thread", "Thread").replace("Fatal Python error: Aborted\n", "")
    assert read_ending(hung).place == "predict (coremltools/models/model.py)"


def test_of_a_deep_stack_the_innermost_frames_are_kept():
    frames = "\n".join(f'  File "deep.py", line {n} in f{n}' for n in range(90))
    text = read_ending(
        f"Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n{frames}"
    )
    assert text.text.splitlines() == [f"  in f{n} (deep.py:{n})" for n in range(FRAMES)]


@pytest.mark.parametrize(
    "said",
    [("y" * 900 + "\n") * 10, "LLVM ERROR: " + "y" * 900 + ("\n" + "y" * 900) * 10, "LLVM ERROR: no" + "\ny" * 9],
)
def test_it_is_never_longer_than_a_record_should_hold(said):
    ending = read_ending(f"{said}\n{STACK}")
    assert len(ending.text) <= STDERR_CHARACTERS
    assert ending.text.startswith(("y", "LLVM ERROR: "))
    assert ending.text.endswith("(harness/units/coreml.py:300)")


@pytest.mark.parametrize("flood", ["y", "/y", "y/", "y:1", "y\n", "[x y]:", "("])
def test_a_flood_is_read_in_no_time(flood):
    began = time.process_time()
    ending = read_ending(flood * (STDERR_BYTES // len(flood)))
    assert time.process_time() - began < 2
    assert 0 < len(ending.text) <= STDERR_CHARACTERS


def test_nothing_said_is_nothing():
    assert read_ending("") == read_ending("\n \n") == endings.Ending()


@pytest.mark.parametrize(
    ("code", "name"), [(3, "exit code 3"), (-6, "SIGABRT"), (-64 + 5, "signal 59"), (-11, "SIGSEGV")]
)
def test_a_return_code_has_a_name(code, name):
    assert signal_name(code) == name


def test_kills_for_want_of_memory_are_read_from_the_first_counter_there_is(monkeypatch, tmp_path):
    group, machine = tmp_path / "memory.events", tmp_path / "vmstat"
    monkeypatch.setattr(endings, "_counters", lambda: (group, machine))
    assert endings.memory_kills() == 0
    machine.write_text("nr_free_pages 7\noom_kill 2\n")
    assert endings.memory_kills() == 2
    group.write_text("low 0\noom 5\noom_kill 4\noom_group_kill 0\n")
    assert endings.memory_kills() == 4


def test_the_examples_hold():
    assert doctest.testmod(endings).failed == 0
