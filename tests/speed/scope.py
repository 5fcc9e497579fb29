"""How much is timed: minutes by default, everything with `SPARSEBENCH_SPEED=full make speed`."""

import os

FULL = os.environ.get("SPARSEBENCH_SPEED") == "full"
