"""CPU seconds of imports that run inside of tests: whichever comes first in a process pays them for all others."""

import builtins
import resource
from typing import Any


def cpu_seconds() -> float:
    """CPU seconds of this process and of the programs that it has waited for."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)


class Imports:
    """Adds up the time of import statements, those inside of an imported module once, from `start` to `stop`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._real: Any = None
        self._inside = False

    def start(self) -> None:
        """Put a function of ours in the place of `__import__`."""
        self._real = builtins.__import__
        builtins.__import__ = self._timed

    def stop(self) -> None:
        """Put back what was there, unless somebody has put another one there since."""
        if builtins.__import__ == self._timed:
            builtins.__import__ = self._real

    def _timed(self, *arguments: Any, **options: Any) -> Any:
        if self._inside:
            return self._real(*arguments, **options)
        self._inside = True
        start = cpu_seconds()
        try:
            return self._real(*arguments, **options)
        finally:
            self._inside = False
            self.seconds += cpu_seconds() - start
