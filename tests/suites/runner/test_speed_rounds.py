"""The helpers of the speed cells: rounds in turn, groups and their scatter, copies for cold weights, two runs compared.

Nothing here looks at how fast anything is: calls move a clock of their own.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sparsebench.models.moe.experts.interface import NAME
from sparsebench.reports.page.speed import SpeedLine, SpeedReport

from ...speed import floors, groups, moe_targets, rounds, two_runs
from ...speed.cold import Copies, copies, last_cache, through
from ...speed.groups import Timed, Variant, spread, time_group
from ...speed.rounds import Clock, ReplayClock, Turn, in_turn


class Machine:
    """A clock, and calls that move it; notes what was called."""

    def __init__(self) -> None:
        self.now = 0.0
        self.called: list[str] = []

    def call(self, name: str, seconds: Callable[[int], float]) -> Callable[[], None]:
        """A call whose seconds depend on how many calls of all kinds there were before."""

        def call() -> None:
            self.now += seconds(len(self.called))
            self.called.append(name)

        return call


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(groups, "WALL", Clock("wall", lambda: made.now))
    monkeypatch.setattr(rounds.gc, "collect", lambda: 0)  # which takes most of the time here
    return made


def test_every_round_starts_with_another_call(machine: Machine) -> None:
    """What is not timed: a call before short ones, and what has to be done first."""
    turns = {
        "a": Turn(machine.call("a", lambda number: 1.0), calls=2, again=True),
        "b": Turn(machine.call("b", lambda number: 3.0), before=machine.call("made", lambda number: 100.0)),
    }
    seconds = in_turn(turns, 2, lambda: machine.now)
    assert seconds == {"a": [1.0, 1.0], "b": [3.0, 3.0]}
    assert machine.called == ["a", "a", "a", "made", "b", "made", "b", "a", "a", "a"]


def test_the_times_are_handed_over_as_they_were_taken() -> None:
    clock = ReplayClock()
    call = clock.replay([0.5, 0.25])
    seen = [clock()]
    for _ in range(2):
        call()
        seen.append(clock())
    assert seen == [0.0, 0.5, 0.75]


def drifting(machine: Machine, spoiled: Callable[[int], bool]) -> Callable[[str], Variant]:
    """Variants on a machine that becomes slower with each call; ours is slower still where it is spoiled."""

    def make(name: str) -> Variant:
        if name == "broken":
            raise ValueError("is no layer")
        if name == "missing":
            pytest.skip("is not installed")
        base = {"ours": 0.1, "peer": 0.2, "slow peer": 0.3}[name]

        def seconds(number: int) -> float:
            return base * (1 + number / 50) * (3.0 if name == "ours" and spoiled(number) else 1.0)

        return Variant(call=machine.call(name, seconds), role=name.split()[-1])

    return make


def test_a_drift_of_the_machine_meets_all_alike(machine: Machine) -> None:
    """The ratio stays where the times double; what cannot be made is told by its own test and stops nobody."""
    names = ["ours", "broken", "peer", "missing", "slow peer"]
    timed = time_group(names, drifting(machine, lambda number: False), Clock("drifting", lambda: machine.now), 7)
    assert timed.times_as_fast("ours", "peer") == pytest.approx(2, rel=0.05)
    assert timed.beside("ours") == "peer"
    assert {len(seconds) for seconds in timed.seconds.values()} == {7}
    assert spread(timed.seconds["ours"]) > 0.1 and not timed.scatters("ours") and not timed.twice
    assert {name: type(reason).__name__ for name, reason in timed.missing.items()} == {
        "broken": "ValueError",
        "missing": "Skipped",
    }
    assert timed.facts("peer")["clock"] == "drifting"
    nobody = time_group(["missing"], drifting(machine, lambda number: False), Clock("still", lambda: machine.now))
    assert list(nobody.missing) == ["missing"]


@pytest.mark.parametrize(("until", "scatters"), [(20, False), (1000, True)])
def test_what_scatters_is_timed_again_and_marked(machine: Machine, until: int, scatters: bool) -> None:
    timed = time_group(
        ["ours", "peer"],
        drifting(machine, lambda number: number < until and number % 3 == 0),
        Clock("drifting", lambda: machine.now),
        7,
    )
    facts = timed.facts("ours")
    assert facts["timed_twice"] is True
    assert facts["scatters"] is scatters
    assert timed.facts("peer")["scatters"] is False


def test_second_rounds_are_paid_from_an_allowance(machine: Machine) -> None:
    """On a busy machine all groups scatter; without seconds left they are marked alone."""
    make = drifting(machine, lambda number: number % 3 == 0)
    clock = Clock("drifting", lambda: machine.now)
    allowance = groups.Allowance(5.0)
    seen = [time_group(["ours", "peer"], make, clock, 7, allowance) for _ in range(3)]
    assert [timed.twice for timed in seen] == [True, False, False]
    assert all(timed.scatters("ours") for timed in seen)
    assert 0 <= allowance.left < 5


def test_short_calls_are_timed_together_and_rounds_are_bounded_by_time(machine: Machine) -> None:
    timed = time_group(
        ["ours", "slow"],
        lambda name: Variant(call=machine.call(name, lambda number: 1e-4 if name == "ours" else 1e-2), role=name),
        Clock("steady", lambda: machine.now),
    )
    assert timed.known["ours"]["calls_in_a_round"] == 20
    assert len(timed.seconds["ours"]) == pytest.approx(groups.SECONDS / 1e-2, abs=1)
    assert timed.median("ours") == pytest.approx(1e-4)


def test_a_pass_through_cold_weights_counts_as_its_parts(machine: Machine) -> None:
    one = machine.call("one", lambda number: 1e-4)
    variant = Variant(call=through([one] * 4), role="ours", parts=4)
    timed = time_group(["ours"], lambda name: variant, Clock("steady", lambda: machine.now), rounds=3)
    assert timed.seconds["ours"] == pytest.approx([1e-4] * 3)
    assert len(machine.called) == 4 * (2 + 3), "nothing warms them: a plan of two passes, and the rounds"


def test_copies_fill_the_last_cache_or_the_memory_that_they_may_have(tmp_path: Path) -> None:
    assert copies(10 << 20, 4, cache=100 << 20) == Copies(3, 120 << 20, 100 << 20)
    assert copies(100 << 20, 4, cache=4 << 30).facts["beyond_cache"] is False
    assert copies(2 << 30, 4, cache=4 << 30).count == 1
    assert last_cache(tmp_path) == 32 << 20
    for level, size in enumerate(("48K", "2048K", "480M")):
        (tmp_path / f"index{level}").mkdir()
        (tmp_path / f"index{level}" / "size").write_text(f"{size}\n")
    assert last_cache(tmp_path) == 480 << 20


def test_a_floor_is_the_larger_of_two_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "read_rate", lambda span: 100.0 if span < 1000 else 10.0)
    assert floors.least_seconds(500, 100.0, 200) == 5
    assert floors.least_seconds(50, 100.0, 200) == 2
    assert floors.least_seconds(50, 100.0, 200, 1000) == 20


def run(**ratios: float) -> SpeedReport:
    lines = [
        SpeedLine(group="g", name=name, role="ours", median=1, iqr=0, rounds=7, ratio=ratio, floor=None)
        for name, ratio in ratios.items()
    ]
    return SpeedReport("cpu", tuple(lines))


def test_two_runs_are_as_far_apart_as_their_ratios(tmp_path: Path) -> None:
    moved = two_runs.compared(run(a=1.0, b=2.0, c=1.0), run(a=1.25, b=1.9))
    assert [one.place[1] for one in moved] == ["c", "a", "b"]
    assert moved[1].apart == pytest.approx(0.25)
    *_, counted, largest = two_runs.said(moved)
    assert counted == "1 of 2 ratios are more than 10 % apart; 1 stand in one run alone"
    assert largest.startswith("largest: 25.0 %")
    assert "usage" in str(two_runs.main([]))
    assert "sparsebench speed" in str(two_runs.main([str(tmp_path), str(tmp_path)]))


def test_moe_targets_are_excused_where_no_exact_form_could_reach_them() -> None:
    """A dense FFN of active size is what no mixture of that size can beat by much."""
    roles = {NAME: "ours", "transformers eager": "peer", moe_targets.DENSE: "floor"}
    noted: list[tuple[str, float, float, str | None]] = []

    def target(what: str, reached: float, *, at_least: float, excuse: str | None = None) -> None:
        noted.append((what, reached, at_least, excuse))

    def want(dense: float) -> list[tuple[str, float, float, str | None]]:
        noted.clear()
        seconds = {NAME: [2.0], "transformers eager": [3.0], moe_targets.DENSE: [dense]}
        timed = Timed(seconds=seconds, roles=roles, known={name: {} for name in roles})
        for name in roles:
            moe_targets.want_forward(name, timed, target, 2048, torch.float32)
        return list(noted)

    assert want(1.5) == [
        ("times as fast as the fastest peer", 1.5, 1.8, None),
        ("times as fast as the dense FFN", 0.75, 1.0, None),
    ]
    assert want(2.0)[0][3] == "the dense FFN is 1.50 times as fast as transformers eager"
