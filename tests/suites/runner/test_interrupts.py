"""Ctrl-C ends a command that still imports, whatever the import does with it, and one that runs in order."""

import subprocess
import sys

import pytest

SWALLOWS = """
import os, signal, sys
from sparsebench.suites.runner import cli, interrupts
signal.signal(signal.SIGINT, {handler})
sys.modules["sparsebench.suites.runner.cli.app"] = app = type(sys)("app")
def main():
    {first}
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("swallowed")
app.main = main
cli.main()
"""


@pytest.mark.parametrize(
    ("handler", "first", "code", "said"),
    [
        ("signal.default_int_handler", "pass", 130, ""),
        ("signal.default_int_handler", "interrupts.end_in_order()", 0, "swallowed"),
        ("signal.SIG_IGN", "pass", 0, ""),
    ],
)
def test_what_an_interrupt_does(handler: str, first: str, code: int, said: str) -> None:
    script = SWALLOWS.format(handler=handler, first=first)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (code, said, "")
