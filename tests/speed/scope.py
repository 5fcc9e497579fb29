"""How much is timed: minutes by default, everything with `sparsebench speed --full`, which sets the variable."""

import os

FULL = os.environ.get("SPARSEBENCH_SPEED") == "full"
