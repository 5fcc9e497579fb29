"""The module that makes synthetic records, loaded by its path: tests are no package."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_records", Path(__file__).parent / "make_records.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
