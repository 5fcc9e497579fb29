"""The command line called in this process."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.suites.runner.cli import app

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sparsebench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path) -> Call:
    """Calls the command line in this process; gives exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["sparsebench", *arguments])
        with pytest.raises(SystemExit) as stop:
            app.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call
