"""How one published table is made again: by a profile, by a recipe for several GPUs, or not, with the reason.

`plans.yaml` has a plan for each table of `reports/published/index.yaml`, and the models that they are about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from sparsebench.reports.published.paper_tables import paper_tables

from ...errors import UsageError, near

PLANS = Path(__file__).with_name("plans.yaml")
STRICT = {"extra": "forbid"}
Kind = Literal["profile", "recipe", "impossible"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """Numbers of parameters: `total` lie in memory, `active` work on a token. Both are counted from shapes."""

    __pydantic_config__: ClassVar = STRICT

    total: int
    active: int
    by_name: bool = False
    """Whether they are only what the model's name says: nothing here can count them."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Tokens that go through a model; `passes` is 2 for a forward pass and 6 for training, operations a parameter."""

    __pydantic_config__: ClassVar = STRICT

    what: str
    model: str
    tokens: float
    passes: Literal[2, 6] = 2


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What runs here in the place of the paper's model, small enough for two cores; it shows that the path works.

    `backbone` stands for all backbones; `tasks` and `methods` (row labels) are those that run, all where none is named.
    """

    __pydantic_config__: ClassVar = STRICT

    backbone: str
    tasks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Raises ValueError for a plan that is not of exactly one kind.

    Attributes:
        impossible: why the table cannot be made again here.
        nearest: a profile that asks the same at a size that runs here.
        suite: of the profile.
        profile: what runs it.
        methods: labels of its rows that belong to the table; all where none is named.
        recipe: that of `sparsebench.suites.llm.cluster` which trains it.
        preset: of the recipe.
        model: that the recipe trains.
        checkpoints: what is downloaded, by row of the table or by what it is there for.
        layout: the paper's own layout that `sparsebench import` reads; empty where they need no import.
        backbone: of the profile, with the place of a checkpoint in braces: `hf:{}`, or `timm:...@{student}`.
        settings: `--set` of the profile, with places in braces.
        data: the source that is a folder of the user's.
        columns: tasks of the table to tasks here; the mean of several stands for one.
        rows: labels of ours to rows of the table, where they differ; several, where its sources differ in names.
        differs: what is not as in the paper.
        work: what there is to compute, by which hours are reckoned.
        stand_in: a small run of the same path.
    """

    __pydantic_config__: ClassVar = STRICT

    impossible: str = ""
    nearest: str = ""
    suite: str = ""
    profile: str = ""
    methods: tuple[str, ...] = ()
    recipe: str = ""
    preset: str = ""
    model: str = ""
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    layout: str = ""
    backbone: str = ""
    settings: tuple[str, ...] = ()
    data: str = ""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    differs: tuple[str, ...] = ()
    work: tuple[Work, ...] = ()
    stand_in: StandIn | None = None

    def __post_init__(self) -> None:
        if sum(map(bool, (self.impossible, self.profile, self.recipe))) != 1:
            raise ValueError("a plan has one of `impossible`, `profile` and `recipe`")
        if self.profile and not (self.suite and self.columns and self.work):
            raise ValueError(f"the plan of profile {self.profile!r} needs `suite`, `columns` and `work`")

    @property
    def kind(self) -> Kind:
        """Which of the three it is."""
        if self.profile:
            return "profile"
        return "recipe" if self.recipe else "impossible"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the profile that the table is about, each once."""
        found: dict[str, None] = {}
        for tasks in self.columns.values():
            found |= dict.fromkeys(tasks)
        return tuple(found)

    def row_of(self, label: str, published: Sequence[str] = ()) -> str:
        """What a row of ours is called in the table: of several names that which is among the published ones."""
        names = self.rows.get(label, label)
        if isinstance(names, str):
            return names
        return next((name for name in names if name in published), names[0])


@dataclass(frozen=True, kw_only=True)
class Plans:
    """`plans.yaml`. Raises ValueError where it has not exactly one plan for each table, or names an unknown model."""

    __pydantic_config__: ClassVar = STRICT

    models: Mapping[str, Model]
    plans: Mapping[str, Plan]
    shared: Mapping[str, object] = field(default_factory=dict)
    """What several plans repeat, by YAML's anchors."""

    def __post_init__(self) -> None:
        odd = set(self.plans) ^ set(paper_tables())
        if odd:
            raise ValueError(f"plans and tables are not the same: {', '.join(sorted(odd))}")
        for name, plan in self.plans.items():
            named = {plan.model} if plan.recipe else {work.model for work in plan.work}
            if not named <= self.models.keys():
                raise ValueError(f"plan {name!r}: no model {', '.join(sorted(named - self.models.keys()))}")


@cache
def plans() -> Plans:
    """All of them. Raises ValueError where the file is broken."""
    from pydantic import TypeAdapter

    from ...planning.profile_file import read_yaml

    return TypeAdapter(Plans).validate_python(read_yaml(PLANS))


def plan_of(name: str) -> Plan:
    """The plan of a table. Raises `UsageError` for an unknown one."""
    known = plans().plans
    if name not in known:
        raise UsageError(f"unknown table {name!r}{near(name, known)}; `sparsebench reproduce` lists them")
    return known[name]
