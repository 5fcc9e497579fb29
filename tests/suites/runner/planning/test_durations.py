"""How long cells take, judged by those that have run."""

import pytest

from sparsebench.suites.runner.planning.durations import Durations, clock
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import load_profile


def test_durations_take_the_nearest_kin() -> None:
    info = expand(load_profile("smoke", ["molecules"]))[0].info
    durations = Durations()
    assert durations.expect(info) is None
    durations.add(info, 3.0)
    durations.add(info, 5.0)
    assert durations.expect(info) == 4.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 m 00 s"), (185, "3 m 05 s"), (7800, "2 h 10 m")]
)
def test_seconds_for_people(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_what_is_left_is_shared_by_the_workers() -> None:
    cells = expand(load_profile("smoke", ["molecules"]))[:4]
    durations = Durations()
    assert durations.remaining(cells, 2) is None and durations.remaining([], 2) == 0.0
    durations.add(cells[0].info, 6.0)
    assert durations.remaining(cells, 2) == 12.0
