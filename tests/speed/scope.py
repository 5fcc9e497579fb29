"""How much is timed: minutes by default, everything with `sparsebench speed --full`, which sets the variable."""

import os

import pytest

FULL = os.environ.get("SPARSEBENCH_SPEED") == "full"
LONG = pytest.mark.skipif(not FULL, reason="takes long: sparsebench speed --full runs it")
