"""What a training takes: CPU seconds, which on a machine that does other things as well say more than its clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time
from typing import Any

from ...training.callbacks import Callback, TrainingState


class ProcessSeconds(Callback):
    """CPU seconds of this process from the first step to the last, those before a stop included."""

    def __init__(self) -> None:
        self.before = 0.0
        self.since = process_time()

    @property
    def seconds(self) -> float:
        """So far."""
        return self.before + process_time() - self.since

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done meanwhile does not count, as measuring."""
        self.before = self.seconds
        try:
            yield
        finally:
            self.since = process_time()

    def on_start(self, state: TrainingState) -> None:
        """Start the clock."""
        self.since = process_time()

    def state_dict(self) -> dict[str, Any]:
        """The seconds so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting from there."""
        self.before = state["seconds"]
        self.since = process_time()
