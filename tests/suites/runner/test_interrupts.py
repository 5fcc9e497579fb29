"""Ctrl-C at any moment: nothing that is imported can swallow it, and a run still clears up."""

import subprocess
import sys

import pytest

from sparsebench.suites.runner.interrupts import STOPPED

SWALLOWS = """
import os, signal
from sparsebench.suites.runner import interrupts
{before}
try:
    os.kill(os.getpid(), signal.SIGINT)
except BaseException as error:  # as some libraries do around an optional import
    print(type(error).__name__)
print("went on")
"""


@pytest.mark.parametrize(
    ("before", "code", "output"),
    [
        ("interrupts.quit_at_once()", STOPPED, ""),
        ("interrupts.quit_at_once(); interrupts.raise_again()", 0, "KeyboardInterrupt\nwent on\n"),
        ("signal.signal(signal.SIGINT, lambda *_: None); interrupts.raise_again()", 0, "went on\n"),
        ("signal.signal(signal.SIGINT, signal.SIG_IGN); interrupts.quit_at_once()", 0, "went on\n"),
    ],
)
def test_who_is_told(before: str, code: int, output: str) -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWS.format(before=before)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, output)
    assert ("sparsebench: stopped" in done.stderr) == (code == STOPPED)


IN_A_COMMAND = """
import os, signal, sys
from sparsebench.suites.runner.cli import main, run_commands
def select(*_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        print("swallowed")
run_commands.select = select
sys.argv = ["sparsebench", "run", "--profile", "smoke"]
main()
"""


def test_a_command_that_plans_ends_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_COMMAND], capture_output=True, text=True)
    assert done.returncode == STOPPED
    assert "swallowed" not in done.stdout
    assert "Traceback" not in done.stderr
