"""What fetching leaves behind, and what it says."""

from pathlib import Path

import pytest


def left_in(cache: Path) -> list[str]:
    return sorted(file.name for file in cache.rglob("*") if not file.name.endswith(".lock") and file.is_file())


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)
