"""What a step works on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from sparsebench.models.calibration.progress import listening

from .opening import check_vocabulary
from .texts import Texts

WINDOW = 256
"""Tokens of a window of calibration."""
WINDOWS = 64
BATCH = 4
"""Windows of a batch."""
SECONDS = 10.0
"""Between two lines of progress."""

Say = Callable[[str], object]
"""Is given a line of progress."""


@dataclass(kw_only=True)
class Work:
    """A model on its way, which steps change in place, and what they may look at."""

    model: Any
    tokenizer: Any
    texts: Texts
    windows: int = WINDOWS
    """Windows of calibration text."""
    seed: int = 0
    say: Say = print

    def rows(self, length: int, tokens: int) -> Tensor:
        """Windows (N, L) of calibration text, so many tokens or the next more, on the model's device.

        They are no longer than the model reads at once, and fewer where there is less text.
        """
        most = min(length, getattr(self.model.config, "max_position_embeddings", None) or length)
        windows = self.texts.windows(self.tokenizer, most, -(-tokens // most), self.seed)
        check_vocabulary([int(windows.max())], self.model)
        return windows.to(self.model.device)

    def batches(self) -> list[dict[str, Any]]:
        """What calibrating functions take."""
        return [
            {"input_ids": rows, "use_cache": False} for rows in self.rows(WINDOW, self.windows * WINDOW).split(BATCH)
        ]

    def generator(self) -> torch.Generator:
        """Random numbers of the seed."""
        return torch.Generator().manual_seed(self.seed)


class Step(Protocol):
    """Something that is done to a model; a frozen dataclass."""

    def apply(self, work: Work) -> str:
        """Do it, in place, and say in one line what was done. Raises `ModelError` where it cannot be."""
        ...


@contextmanager
def progress(say: Say, what: str) -> Iterator[None]:
    """Say now and then how many blocks of the model are done."""
    last = time.monotonic()

    def blocks(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            say(f"  {what}: block {done} of {total}")

    with listening(blocks):
        yield
