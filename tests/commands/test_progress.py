import os
import pty
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = textwrap.dedent("""
    import sys
    from harness.commands.progress import ProgressLine

    with ProgressLine(total=4, done=1, failing=1) as line:
        line.advance(failing=False)
        line.say("first block")
        line.advance(failing=True)
        line.say("second block")
    print("rich" in sys.modules)
""")


def on_terminal(stdout_too):
    """What the script writes to a terminal that is its stderr, and to stdout where that is a pipe."""
    terminal, end = pty.openpty()
    output = end if stdout_too else subprocess.PIPE
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=output, stderr=end, cwd=ROOT, env=environment, text=True
    ) as run:
        os.close(end)
        shown = b""
        try:
            while chunk := os.read(terminal, 1 << 16):
                shown += chunk
        except OSError:  # how Linux tells the end of a terminal
            pass
        out = "" if stdout_too else run.stdout.read()
    os.close(terminal)
    assert run.returncode == 0
    return shown.decode(), out


def on_screen(text):
    """What is left to see in the end: a line that was cleared is not, nor one written over."""
    rows, row = [""], 0
    for count, command, sign in re.findall(r"\x1b\[([\d;?]*)([A-Za-z])|(.)", text, re.DOTALL):
        if command == "A":
            row -= int(count)
        elif command == "K":
            rows[row] = ""
        elif sign == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif sign != "\r":
            rows[row] += sign
    return [one for one in rows if one]


def test_a_terminal_sees_one_line_of_what_is_done_and_results_stay_on_stdout():
    shown, out = on_terminal(stdout_too=False)
    assert out == "first block\nsecond block\nTrue\n"
    assert "block" not in shown
    assert "1/4" in shown
    assert "3/4" in shown
    assert "2 failing" in shown
    assert "left" in shown
    assert on_screen(shown) == []


def test_on_one_terminal_results_stand_above_the_line():
    shown, _ = on_terminal(stdout_too=True)
    assert "3/4" in shown
    assert on_screen(shown) == ["first block", "second block", "True"]


def test_nothing_is_shown_elsewhere_and_rich_is_not_imported():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == ""
    assert done.stdout == "first block\nsecond block\nFalse\n"
