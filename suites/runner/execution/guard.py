"""What a cell may leave behind in a process that cells share: what is looked at before and after each of them.

Where it differs, no further cell runs in that process. It is no full list, and cannot be one: a patched function is not
in it. What it does not see, a second run does (`executors/local/sharing.py`), and where each cell has a process of its
own, as is usual, nothing of this is needed.
"""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .isolation.process import children


def state() -> tuple[Any, ...]:
    """Values that are equal as long as a cell has left nothing that this looks at."""
    return (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_num_threads(),
        torch.get_deterministic_debug_mode(),
        np.geterr(),
        os.environ.copy(),
        _folder(),
        sorted(thread.native_id or 0 for thread in threading.enumerate()),
        children(),
    )


def _folder() -> Path | None:
    """The working directory; None if it is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None
