"""How many faults are drawn, and what became of them.

`SPARSEBENCH_FAULTS=long` (as in `make faults`) draws many more; each draw has its number as its seed, so the long list
begins with the short one, and a defect is drawn again by its number alone.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import monotonic

LONG = os.environ.get("SPARSEBENCH_FAULTS", "") == "long"
PATIENCE = 30.0
"""Seconds after which reading an input counts as hanging."""
SHOWN = 5
REFUSES = "sparsebench: "


def number(short: int, long: int) -> int:
    """How many draws: few in `make test`, many in `make faults`."""
    return long if LONG else short


def refusal(err: str) -> str:
    """The one line in which a command refused something; "" if it said anything else after its notes of progress."""
    *notes, last = err.splitlines() or [""]
    clean = last.startswith(REFUSES) and not any(note.startswith((REFUSES, "Traceback")) for note in notes)
    return last if clean else ""


class SilentlyWrongError(AssertionError):
    """An input was accepted, and what came of it is not what it says."""


@dataclass
class Tally:
    """What became of the mutated inputs of one kind."""

    kind: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    tracebacks: int = 0
    hangs: int = 0
    wrong: int = 0
    defects: list[str] = field(default_factory=list)

    def judge(self, draw: int, read: Callable[[], None], refusals: tuple[type[Exception], ...]) -> bool:
        """Count what `read` makes of the input with this number; True if it was accepted.

        It refuses an input by raising one of `refusals` with a text of one line, and raises `SilentlyWrongError` where
        it got something else than the input says.
        """
        self.inputs += 1
        start = monotonic()
        try:
            read()
        except SilentlyWrongError as error:
            self._defect("wrong", draw, f"{error}")
        except refusals as error:
            if "\n" in str(error).strip() or not str(error).strip():
                self._defect("tracebacks", draw, f"refused, but not in one line: {error!r}")
            else:
                self.refused += 1
        except Exception as error:  # what a user would see as a traceback
            self._defect("tracebacks", draw, f"{type(error).__name__}: {error}")
        else:
            self.accepted += 1
            return True
        finally:
            if monotonic() - start > PATIENCE:
                self._defect("hangs", draw, f"took {monotonic() - start:.0f} s")
        return False

    def _defect(self, kind: str, draw: int, text: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        self.defects.append(f"{self.kind} {draw}: {kind}: {text[:500]}")

    def check(self, record_property: Callable[[str, object], None]) -> None:
        """Keep the numbers for the summary, and fail if there was a defect, or if nothing was refused at all."""
        record_property("faults", asdict(self) | {"defects": len(self.defects)})
        assert not self.defects, "\n".join(self.defects[:SHOWN])
        assert self.refused, f"nothing was refused: {self}"


@dataclass
class RunTally:
    """What faults did to runs: cells without a record, recorded twice, with another score than undisturbed."""

    kind: str = ""
    cells: int = 0
    inside: int = 0
    """Faults that met a run with cells left."""
    lost: int = 0
    doubled: int = 0
    different: int = 0
    tracebacks: int = 0
    defects: list[str] = field(default_factory=list)

    def defect(self, kind: str, text: str) -> None:
        """Count one, and keep what is to be said of it."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.defects.append(f"{kind}: {text}")

    def check(self, record_property: Callable[[str, object], None], faults: int) -> None:
        """Keep the numbers for the summary; fail if there was a defect, or if half of the faults met nothing."""
        record_property("faults", asdict(self) | {"defects": len(self.defects)})
        assert not self.defects, "\n".join(self.defects[:SHOWN])
        assert self.inside >= faults // 2, self
