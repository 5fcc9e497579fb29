"""Two runs of the suite beside each other: how far each ratio moved.

`python -m sparsebench.speed.two_runs FOLDER FOLDER` (result folders, or their `speed.json`) prints every ratio of both,
the furthest apart first, and ends with 1 if one of them moved by more than a tenth, or stands in one run alone.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sparsebench.reports.page.speed import SPEED_FILE, SpeedError, SpeedReport, read_speed

MOST = 0.1
"""How much larger than the other a ratio may be, relatively."""
Place = tuple[str, str, str]


class Moved(NamedTuple):
    """One ratio: where it stands, and what it is in each run; None where it is missing."""

    place: Place
    first: float | None
    second: float | None
    scatters: bool

    @property
    def apart(self) -> float:
        """The larger over the smaller one, less 1; infinite where one is missing."""
        if self.first is None or self.second is None:
            return float("inf")
        return max(self.first / self.second, self.second / self.first) - 1


def compared(first: SpeedReport, second: SpeedReport) -> list[Moved]:
    """All ratios of two runs, the furthest apart first."""
    one = dict(_ratios(first))
    other = dict(_ratios(second))
    scattering = {(line.group, line.name) for run in (first, second) for line in run.lines if line.scatters}
    places = one | other
    found = [Moved(place, one.get(place), other.get(place), place[:2] in scattering) for place in places]
    return sorted(found, key=lambda moved: (-moved.apart, moved.place))


def _ratios(run: SpeedReport) -> Iterator[tuple[Place, float]]:
    for line in run.lines:
        if line.ratio is not None:
            yield (line.group, line.name, "times as fast"), line.ratio
        if line.floor is not None:
            yield (line.group, line.name, "of the floor"), line.floor


def said(moved: Sequence[Moved]) -> Iterator[str]:
    """A line for each ratio, and what they come to."""
    for one in moved:
        figures = "  ".join("   –  " if ratio is None else f"{ratio:6.3f}" for ratio in (one.first, one.second))
        mark = " ~" if one.scatters else ""
        yield f"{100 * one.apart:6.1f} %  {figures}  {': '.join(one.place)}{mark}"
    known = [one for one in moved if one.apart < float("inf")]
    steady = [one.apart for one in known if not one.scatters]
    far = sum(one.apart > MOST for one in known)
    alone = len(moved) - len(known)
    yield f"{far} of {len(known)} ratios are more than {100 * MOST:.0f} % apart; {alone} stand in one run alone"
    if known:
        largest = max(one.apart for one in known)
        yield f"largest: {100 * largest:.1f} %; of those that do not scatter (~): {100 * max(steady, default=0):.1f} %"


def main(arguments: Sequence[str]) -> int | str:
    """The exit code, or what is wrong with the arguments."""
    if len(arguments) != 2:
        return "usage: python -m sparsebench.speed.two_runs FOLDER FOLDER"
    try:
        runs = [read_speed(path / SPEED_FILE if path.is_dir() else path) for path in map(Path, arguments)]
    except SpeedError as error:
        return str(error)
    moved = compared(*runs)
    sys.stdout.write("\n".join([*said(moved), ""]))
    return int(any(one.apart > MOST for one in moved))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
