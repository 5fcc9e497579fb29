"""For tests: notes each step of a training in a file of its own, and stops there until it is killed."""

import json
import os
import time
from pathlib import Path

from sparsebench.suites.training.callbacks import Callback, TrainingState

TRACE = "SECOND_HALF_TRACE"
HOLD = "SECOND_HALF_HOLD"


class Watch(Callback):
    """Adds each step to the file $SECOND_HALF_TRACE/NAME; after the step of NAME in $SECOND_HALF_HOLD it waits."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_step(self, state: TrainingState) -> None:
        """A line, and the hold."""
        folder = os.environ.get(TRACE)
        if folder is None:
            return
        with Path(folder, self.name).open("a") as file:
            file.write(f"{state.step}\n")
        if json.loads(os.environ.get(HOLD, "{}")).get(self.name) == state.step:
            Path(folder, f"{self.name} waits").touch()
            time.sleep(600)
