"""What a table takes, by arithmetic: memory, hours, and on which machine it can be made. Nothing is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparsebench.reports.tables import formatting

from ....llm.cluster.recipe import Recipe, read_recipe
from ...discovery.closure import HOME
from ...planning.durations import clock
from .plan import Plan, Work, plans

HALF = 2
"""Bytes of a bfloat16 number."""
TRAINED = 16
"""Bytes of a parameter that trains: float32 weight and gradient, two numbers of AdamW."""
MOST_HOURS_HERE = 48.0
"""What takes longer on two cores is for a GPU."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """`rate`: operations a second that are reckoned with; `bytes`: memory for weights and optimizer."""

    name: str
    state: str
    rate: float
    rate_text: str
    bytes: float


H100 = 989e12 * 0.4
RATE_TEXT = "40 % of the 989 TFLOP/s of an H100 in bfloat16"
HERE = Machine(
    name="two cores", state="run here", rate=0.1e12, rate_text="0.1 TFLOP/s of two cores in float32", bytes=6e9
)
ONE_GPU = Machine(name="one GPU of 80 GB", state="ready for one GPU", rate=H100, rate_text=RATE_TEXT, bytes=80e9)
LARGE_GPU = Machine(name="one GPU of 141 GB", state="ready for one GPU", rate=H100, rate_text=RATE_TEXT, bytes=141e9)
EIGHT_GPUS = Machine(
    name="eight GPUs of 80 GB",
    state="ready for eight GPUs",
    rate=8 * H100,
    rate_text=f"eight times {RATE_TEXT}",
    bytes=8 * 80e9,
)
OF_PROFILES = (HERE, ONE_GPU, LARGE_GPU)
"""What a cell can run on: it has one device. The first one that is large and quick enough is named."""
OF_RECIPES = {1: ONE_GPU, 8: EIGHT_GPUS}
IMPOSSIBLE = "impossible"


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a table takes on the machine that it is for.

    Attributes:
        state: "run here", "ready for one GPU", "ready for eight GPUs" or "impossible".
        because: why it is impossible.
        machine: the smallest that can make it; None where none can.
        bytes: of weights, gradients and optimizer.
        hours: on that machine.
        arithmetic: how the hours come about, a line for each piece of work.
    """

    state: str
    because: str = ""
    machine: Machine | None = None
    bytes: float = 0.0
    hours: float = 0.0
    arithmetic: tuple[str, ...] = ()


def needs_of(plan: Plan) -> Needs:
    """What the table of a plan takes."""
    if plan.impossible:
        return Needs(state=IMPOSSIBLE, because=plan.impossible)
    if plan.layout and not has_reader(plan.layout):
        return Needs(state=IMPOSSIBLE, because=f"nothing here reads the layout of its checkpoints, {plan.layout!r}")
    if plan.recipe:
        return _of_recipe(plan, read_recipe(plan.recipe))
    machine = next(machine for machine in OF_PROFILES if _can(machine, plan))
    return _on(machine, plan.work, memory(plan.work))


def has_reader(layout: str) -> bool:
    """Whether `sparsebench import` knows a layout."""
    return (HOME / "models" / "official" / f"{layout}.py").is_file()


def memory(work: Sequence[Work]) -> float:
    """Bytes: models that train lie in memory together, others one at a time, in bfloat16."""
    found = plans().models
    trained = {part.model for part in work if part.passes == 6}
    others = [found[part.model].total for part in work if part.passes == 2]
    return TRAINED * sum(found[name].total for name in trained) + HALF * max(others, default=0)


def hours(work: Work, machine: Machine) -> float:
    """Operations of a piece of work over the rate of a machine."""
    return work.passes * plans().models[work.model].active * work.tokens / machine.rate / 3600


def _can(machine: Machine, plan: Plan) -> bool:
    if memory(plan.work) > machine.bytes:
        return False
    return machine is not HERE or sum(hours(work, machine) for work in plan.work) <= MOST_HOURS_HERE


def _of_recipe(plan: Plan, recipe: Recipe) -> Needs:
    """Tokens are those of its stages; memory is what its own plan reckons, so that of the machine it is written for."""
    work = []
    for stage in recipe.stages:
        work.append(Work(what=f"stage {stage.name!r}", model=plan.model, tokens=stage.tokens, passes=6))
    return _on(OF_RECIPES[recipe.gpus], tuple(work), recipe.gpus * recipe.gigabytes * 1e9)


def _on(machine: Machine, work: tuple[Work, ...], taken: float) -> Needs:
    lines = []
    for part in work:
        active = plans().models[part.model].active
        lines.append(
            f"{part.what}: {part.passes} × {active / 1e9:.3g} billion parameters × {formatting.count(part.tokens)} "
            f"tokens / ({machine.rate_text}) = {clock(3600 * hours(part, machine))}"
        )
    return Needs(
        state=machine.state,
        machine=machine,
        bytes=taken,
        hours=sum(hours(part, machine) for part in work),
        arithmetic=tuple(lines),
    )
