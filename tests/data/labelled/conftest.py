"""Files of a package, written by the test in the place of the real ones."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`give(module, key=text, ...)`: the module's `path` leads to files with these texts."""

    def write(module: ModuleType, **texts: str) -> None:
        for key, text in texts.items():
            (tmp_path / key).write_text(text, encoding="utf-8")
        monkeypatch.setattr(module, "path", lambda source, key: tmp_path / key)

    return write
