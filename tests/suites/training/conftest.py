"""Trainings in processes of their own, run once."""

import json
from typing import Any

import pytest

from ...gloo import run_program


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the trainings of `forked.py` gave."""
    folder = tmp_path_factory.mktemp("forked")
    run_program("tests.suites.training.forked", folder, 240)
    return json.loads((folder / "found.json").read_text())
