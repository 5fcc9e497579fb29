"""Leaves the backbone as it is, and something else behind."""

import contextlib
import os
import signal
import stat
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method

from . import leaks


@dataclass(frozen=True, kw_only=True)
class ToyLeak(Method):
    """`what` names what it does, a function of `leaks` or a method here, if anything; `number` tells rows apart."""

    what: str = ""
    number: int = 0

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Misbehave."""
        if hasattr(leaks, self.what):
            getattr(leaks, self.what)()
        elif self.what:
            getattr(self, f"_{self.what}")()
        return backbone

    def _returning_child(self) -> None:
        """A child that comes back into the worker's loop, as the worker itself does."""
        os.fork()

    def _speaking_child(self) -> None:
        """A child that writes into every socket of the worker; the worker waits for its end."""
        child = os.fork()
        if child == 0:
            for handle in range(3, 64):
                with contextlib.suppress(OSError):  # no such handle
                    if stat.S_ISSOCK(os.fstat(handle).st_mode):
                        os.write(handle, b"\x00\x00\x00\x03abc")
            os._exit(0)
        os.waitpid(child, 0)

    def _loader(self) -> None:
        """A process of its own, which daemons may not start."""
        batches = list(DataLoader(TensorDataset(torch.arange(6)), batch_size=2, num_workers=1))
        assert len(batches) == 3

    def _exit(self) -> None:
        raise SystemExit("the cell left")

    def _interrupt(self) -> None:
        raise KeyboardInterrupt("the cell pressed a key")

    def _real_time_signal(self) -> None:
        os.kill(os.getpid(), 40)
        signal.pause()

    def _crash_when_told(self) -> None:
        if "TOY_CRASH" in os.environ:
            os._exit(9)
