"""What became of a model: one table for people, one document for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsebench.models.counting import count_parameters
from sparsebench.reports.statistics import Difference, Estimate

from .measures import Loss, Speed, paired

UNSEEN = 0.0005
"""Bits per byte that three decimals do not show: the noise of rounding has no sign worth a word."""


@dataclass(frozen=True)
class Side:
    """A model: its parameters, those at work on a token, bytes of its weights on disk, and its loss."""

    parameters: int
    active: int
    bytes: int
    loss: Loss

    @classmethod
    def of(cls, model: Any, size: int, loss: Loss) -> Side:
        """Counted.

        Args:
            model: any model.
            size: bytes of its files.
            loss: on held-out text.
        """
        counts = count_parameters(model)
        return cls(counts.total, counts.active, size, loss)


@dataclass(frozen=True)
class Done:
    """A step: what was asked for, what was done, and in how many seconds."""

    asked: str
    done: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What `convert`, `compress` and `export` give back; `print` shows the table.

    Attributes:
        out: the folder that was written.
        architecture: the class of its model.
        steps: what was done, in order.
        before: the model as it came.
        after: the model as the folder gives it.
        speed: tokens per second of both, or why it was not measured.
        text: where the held-out text is from.
        engines: what opens the folder, or what is in the way.
        opened: what plain transformers made of it, where that was tried.
        notes: what the steps warned of.
    """

    out: str
    architecture: str
    steps: Sequence[Done]
    before: Side
    after: Side
    speed: tuple[Speed, Speed] | str
    text: str
    engines: Mapping[str, str]
    opened: str = ""
    notes: Sequence[str] = ()

    @property
    def difference(self) -> Difference:
        """Of bits per byte on the same documents, positive where the model is better afterwards."""
        return paired(self.after.loss, self.before.loss)

    def __str__(self) -> str:
        rows = [("", "before", "after", ""), *self._rows()]
        widths = [max(len(row[place]) for row in rows) for place in range(4)]
        lines = [f"{one.asked}: {one.done} ({one.seconds:.0f} s)" for one in self.steps]
        lines += [f"note: {note}" for note in self.notes]
        lines.append("")
        for name, *cells in rows:
            right = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            lines.append(f"{name.ljust(widths[0])}  {right}".rstrip())
        rows_read = self.before.loss.rows
        lines.append("")
        lines.append(f"held-out text: {len(rows_read)} documents of {self.text}; intervals of 95 % over documents")
        if isinstance(self.speed, str):
            lines.append(f"tokens per second: {self.speed}")
        lines += [f"{engine}: {what}" for engine, what in self.engines.items()]
        if self.opened:
            lines.append(f"plain transformers: {self.opened}")
        lines.append(f"written to {self.out} ({self.architecture})")
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        before, after = self.before, self.after
        found = []
        for name, attribute in (("parameters", "parameters"), ("active", "active"), ("bytes on disk", "bytes")):
            old = getattr(before, attribute)
            new = getattr(after, attribute)
            found.append((name, f"{old:,}", f"{new:,}", f"{new / old:.2f} x"))
        losses = (_interval(before.loss.estimate), _interval(after.loss.estimate))
        found.append(("bits per byte", *losses, self._change()))
        if not isinstance(self.speed, str):
            first, second = self.speed
            for name, attribute in (("tokens/s read", "read"), ("tokens/s written", "written")):
                old, new = getattr(first, attribute), getattr(second, attribute)
                found.append((name, f"{old:.1f}", f"{new:.1f}", f"{new / old:.2f} x"))
        return found

    def _change(self) -> str:
        difference = self.difference
        half = difference.estimate.half_width
        if abs(difference.estimate.mean) + (half or 0.0) < UNSEEN:
            return "0.000 (the same, to the digits shown)"
        size = "" if half is None else f" ± {half:.3f}"
        return f"{-difference.estimate.mean:+.3f}{size} ({difference.outcome})"

    def document(self) -> dict[str, Any]:
        """For programs: plain values, as `--json` prints them (suites/README.md)."""
        difference = self.difference
        speed = None
        if not isinstance(self.speed, str):
            speed = [{"read": one.read, "written": one.written} for one in self.speed]
        return {
            "out": self.out,
            "architecture": self.architecture,
            "steps": [vars(one) for one in self.steps],
            "before": _side(self.before),
            "after": _side(self.after),
            "change_in_bits_per_byte": _change(difference),
            "tokens_per_second": speed and dict(zip(("before", "after"), speed, strict=True)),
            "tokens_per_second_missing": self.speed if isinstance(self.speed, str) else None,
            "held_out": {"documents": len(self.before.loss.rows), "source": self.text},
            "engines": dict(self.engines),
            "opened": self.opened or None,
            "notes": list(self.notes),
        }


def _side(side: Side) -> dict[str, Any]:
    estimate = side.loss.estimate
    return {
        "parameters": side.parameters,
        "active": side.active,
        "bytes": side.bytes,
        "bits_per_byte": {"mean": estimate.mean, "low": estimate.low, "high": estimate.high},
    }


def _change(difference: Difference) -> dict[str, Any]:
    """After minus before: more bits are worse."""
    estimate = difference.estimate
    low = None if estimate.high is None else -estimate.high
    high = None if estimate.low is None else -estimate.low
    return {"mean": -estimate.mean, "low": low, "high": high, "outcome": difference.outcome}


def _interval(estimate: Estimate) -> str:
    text = f"{estimate.mean:.3f}"
    return text if estimate.half_width is None else f"{text} ± {estimate.half_width:.3f}"
