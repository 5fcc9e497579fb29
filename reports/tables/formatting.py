"""Numbers as people read them: one place, so that terminal, Markdown, LaTeX and HTML agree."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..records.visible import visible
from ..statistics import Estimate, Outcome

MINUS = "−"
HUGE = 1e7
"""From here on scores are printed with a power of ten."""
MARKS = {"examples": "*", "seeds": "°"}
"""What stands behind an interval that covers less than seeds and test examples."""
ASKEW = 0.8
"""An interval whose shorter side is less than this fraction of the longer one is printed by its two ends."""
_FORMULA = ("=", "+", "-", "@", "\t")
_MARKUP = re.compile(
    r"[`*~]|\\(?=[!-/:-@\[-`{-~])|<(?=[a-zA-Z/!?])|&(?=#?\w+;)|\](?=[(\[])|(?<![a-zA-Z0-9])_|_(?![a-zA-Z0-9])"
)
"""What Markdown may take for emphasis, code, HTML or a link; an underscore or a bracket of a usual name is none."""


def points(unit: str) -> str:
    """The unit of a difference of two scores of this unit."""
    return {"share": "points", "%": "points"}.get(unit, unit)


def shown_unit(unit: str) -> str:
    """The unit as printed: fractions, whose stored unit is "share", are shown as per cent."""
    return {"share": "%"}.get(unit, unit)


def scale(unit: str) -> float:
    """What a stored value is multiplied with when it is shown."""
    return {"share": 100.0}.get(unit, 1.0)


def number(value: float, unit: str = "", signed: bool = False) -> str:
    """A score in its unit: per cent with one decimal, anything else with about three figures."""
    value *= scale(unit)
    return _fixed(value, _decimals(unit, value), signed)


def rounded(value: float, figures: int = 6) -> float:
    """With so many figures: six are more than anybody reads, and a third of the bytes."""
    return float(f"{value:.{figures}g}")


def per_cent(fraction: float | None) -> str:
    """ "42.3 %"; a dash where nobody knows it."""
    return "–" if fraction is None else f"{number(fraction, 'share')} %"


def _fixed(shown: float, digits: int | None, signed: bool = False) -> str:
    """With so many decimals; without a number of them, and where they would fill the line, as three figures and a
    power of ten.
    """
    how = f".{digits}f" if digits is not None and abs(shown) < HUGE else ".3g"
    if signed:
        how = f"+{how}"
    return format(shown, how).replace("-", MINUS)


def _decimals(unit: str, first: float, *others: float) -> int | None:
    """Decimals of a value that is already scaled, which what is printed beside it has, too.

    None where all of them would read as 0, and are not: concentrations in mol/L.
    """
    digits = _digits(first, unit)
    shown = (first, *others)
    if shown_unit(unit) == "%" or not any(shown) or any(round(one, digits) for one in shown):
        return digits
    return None


def _digits(shown: float, unit: str) -> int:
    """Decimals of a value that is already scaled."""
    if shown_unit(unit) == "%" or abs(shown) >= 100:
        return 1
    if abs(shown) >= 10:
        return 2
    return 3


def estimate(value: Estimate, unit: str) -> str:
    """Mean ± half width, or the mean and both ends where the sides differ much (`ASKEW`).

    A mark says where the interval covers seeds or examples alone (`MARKS`).
    """
    if value.half_width is None:
        return number(value.mean, unit)
    # The interval has the decimals of its mean: more would pretend to know it better.
    mean, half = value.mean * scale(unit), value.half_width * scale(unit)
    digits = _decimals(unit, mean, half)
    text = _fixed(mean, digits)
    mark = MARKS.get(value.covers, "")
    if value.ends is not None:
        low, high = value.ends
        if min(value.mean - low, high - value.mean) < ASKEW * value.half_width:
            return f"{text} [{_fixed(low * scale(unit), digits)}, {_fixed(high * scale(unit), digits)}]{mark}"
    return f"{text} ± {_fixed(half, digits)}{mark}"


def interval(value: Estimate, unit: str) -> str:
    """A signed difference and its interval: +4.1 [2.0, 6.2]."""
    if value.low is None or value.high is None:
        return number(value.mean, unit, signed=True)
    mean, low, high = (one * scale(unit) for one in (value.mean, value.low, value.high))
    digits = _decimals(unit, mean, low, high)
    return f"{_fixed(mean, digits, signed=True)} [{_fixed(low, digits)}, {_fixed(high, digits)}]"


def effect(difference: Estimate, unit: str) -> str:
    """A difference with its interval and the unit in which differences are told: "+4.1 [2.0, 6.2] points"."""
    return f"{interval(difference, unit)} {points(unit)}".strip()


def outcome(outcome: Outcome, margin: float | None, unit: str) -> str:
    """An outcome in words; the margin stands wherever "equivalent" does."""
    if outcome != "equivalent" or margin is None:
        return outcome
    return f"equivalent (within ±{number(margin, unit)} {points(unit)})"


def p_value(p: float | None) -> str:
    """p = 0.012, p < 0.001, or a dash."""
    if p is None:
        return "–"
    if p < 0.001:
        return "< 0.001"
    if p < 0.1:
        return f"{p:.3f}"
    return f"{p:.2f}"


def count(value: float | None) -> str:
    """Parameters, operations: 6.1 M."""
    return _prefixed(value, ("", " k", " M", " G", " T"))


def size(value: float | None) -> str:
    """Bytes: 24 MB (powers of ten)."""
    return _prefixed(value, (" B", " kB", " MB", " GB", " TB"))


def milliseconds(value: float | None) -> str:
    """Milliseconds, or micro- or whole seconds where these read better."""
    if value is None:
        return "–"
    if value < 0.1:
        return f"{value * 1000:.3g} µs"
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.3g} ms"


def times(ratio: float | None) -> str:
    """How many times as much: 0.75×, 0.002×."""
    if ratio is None:
        return "–"
    if ratio < 0.1:
        return f"{ratio:.1g}×"
    return f"{ratio:.2f}×"


def duration(seconds: float | None) -> str:
    """12 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(text: str) -> str:
    """An ISO time to the minute: 2026-11-24 10:00."""
    return text[:16].replace("T", " ")


def _prefixed(value: float | None, suffixes: tuple[str, ...]) -> str:
    if value is None:
        return "–"
    index = 0
    # From 999.5 on three figures would round to 1e+03: the next prefix takes over there.
    while abs(value) >= 0.9995 * 1000 and index < len(suffixes) - 1:
        value /= 1000
        index += 1
    return f"{value:.3g}{suffixes[index]}"


def counted(number: int, noun: str) -> str:
    """ "1 study", "3 studies", "1,200 records"."""
    if number != 1:
        noun = f"{noun}s".replace("ys", "ies")
    return f"{number:,} {noun}"


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def csv_cell(value: Any) -> Any:
    """A cell of a CSV file: a text that a spreadsheet would run as a formula gets a ' in front, as it asks for."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    if text.startswith(_FORMULA):
        return f"'{text}"
    return text


def markdown_text(text: str) -> str:
    """A text of somebody else's that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\g<0>", text)


def markdown_row(cells: Iterable[str]) -> str:
    """A row of a pipe table, in one line; a pipe of a text's own would begin another cell."""
    escaped = [one_line(cell).replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def one_line(text: str) -> str:
    """A text of somebody else's without line breaks and control characters."""
    return visible(" ".join(text.split()))
