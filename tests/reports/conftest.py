"""The module that makes synthetic records."""

from types import ModuleType

import pytest

from . import make_records


@pytest.fixture(scope="session")
def make() -> ModuleType:
    return make_records
