"""What of a plan runs: with the checkpoints that were given, or with a stand-in for them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsebench.data.sources import source
from sparsebench.reports.tables.matrix import Row

from ...errors import UsageError, near
from .needs import IMPOSSIBLE, needs_of
from .plan import Plan, StandIn

EACH = "{}"
"""In a backbone: every checkpoint is a row of the table, on a backbone of its own."""
BARE = "dense"
"""The label of the row that leaves a backbone as it is: such a row is called by its checkpoint alone."""
OURS = "ours"
STAND_IN = "stand-in"
ANOTHER = "another model"
"""What is not called ours: a checkpoint of a size that the paper's model has not, or another network."""
TIMM = "timm:"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A part of a profile, and what its rows are called in the table.

    Attributes:
        who: "ours", "another model" or "stand-in".
        tasks: of the profile.
        methods: labels of its rows; all where none is named.
        backbones: in the place of the profile's.
        settings: `--set` of it.
        limit: of test examples.
        seeds: how many; as the profile has it where it is None.
        rows: backbones to rows of the table, where checkpoints are its rows.
    """

    who: str
    tasks: tuple[str, ...]
    methods: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    limit: int | None = None
    seeds: int | None = None
    rows: Mapping[str, str]

    def name_of(self, row: Row, plan: Plan, published: Sequence[str]) -> str:
        """Which published row one of ours is, else a name of its own. Settings add to a label behind a comma."""
        model = self.rows.get(row.backbone)
        if model is not None:
            label = plan.row_of(row.label)
            return model if label == BARE else f"{model}, {label}"
        known = {**{name: name for name in published}, **{label: plan.row_of(label, published) for label in plan.rows}}
        fitting = [name for name in known if row.label == name or row.label.startswith(f"{name}, ")]
        if fitting:
            return known[max(fitting, key=len)]
        return row.label


def choose(name: str, plan: Plan, given: Sequence[str], network: str = "") -> Chosen:
    """The plan with checkpoints.

    Args:
        name: the table, for an error.
        plan: its plan.
        given: `NAME=PLACE` for each checkpoint, or a place alone where the plan has one.
        network: of timm, `NAME` or `NAME:PIXELS`, in the place of the plan's; its rows are not called ours.

    Returns:
        What runs.

    Raises:
        UsageError: the table cannot run here, a name that the plan has not, a place that there is not, or one that is
            missing.
    """
    refuse(name, plan)
    if network and not plan.backbone.startswith(TIMM):
        raise UsageError(f"--network: the backbone of {name} is no network of timm")
    places = _places(name, plan, given)
    backbones: tuple[str, ...] = ()
    rows: dict[str, str] = {}
    if EACH in plan.backbone:
        rows = {plan.backbone.replace(EACH, place): row for row, place in places.items()}
        backbones = tuple(rows)
    elif plan.backbone:
        _, at, file = plan.backbone.partition("@")
        backbone = f"{TIMM}{network}{at}{file}" if network else plan.backbone
        backbones = (backbone.format_map(places),)
    return Chosen(
        who=ANOTHER if network else OURS,
        tasks=plan.tasks,
        methods=plan.methods,
        backbones=backbones,
        settings=tuple(setting.format_map(places) for setting in plan.settings),
        rows=rows,
    )


def stand_in(name: str, plan: Plan) -> Chosen:
    """The plan with its stand-in. Raises `UsageError` where it has none."""
    small: StandIn | None = plan.stand_in
    if small is None:
        refuse(name, plan)
        raise UsageError(f"{name} has no stand-in")
    return Chosen(
        who=STAND_IN,
        tasks=small.tasks or plan.tasks,
        methods=small.methods or plan.methods,
        backbones=(small.backbone,),
        settings=small.settings,
        limit=small.limit,
        seeds=1,
        rows={small.backbone: f"{small.backbone}, no row of the paper"} if EACH in plan.backbone else {},
    )


def refuse(name: str, plan: Plan) -> None:
    """Raise `UsageError` for a table that this command cannot make."""
    needs = needs_of(plan)
    if needs.state == IMPOSSIBLE:
        raise UsageError(f"{name} cannot be made again here: {needs.because}")
    if plan.recipe:
        raise UsageError(f"{name} is trained by a recipe: `sparsebench reproduce {name}` prints its commands")


def use_data(plan: Plan, folder: Path | None) -> None:
    """Name the folder of the user's data to what runs in this process and below it. Raises `UsageError`."""
    if folder is None:
        return
    if not plan.data:
        raise UsageError("--data: this table reads no folder of yours")
    if not folder.is_dir():
        raise UsageError(f"--data: {folder} is no folder; it is for {source(plan.data).environment}")
    os.environ[source(plan.data).environment] = str(folder.resolve())


def _places(name: str, plan: Plan, given: Sequence[str]) -> dict[str, str]:
    places: dict[str, str] = {}
    for text in given:
        row = _name_of_checkpoint(plan, text)
        if row in places:
            raise UsageError(f"--checkpoint: {row!r} is given twice")
        places[row] = _place(plan, text.removeprefix(f"{row}="))
    wanted = set() if EACH in plan.backbone and places else set(plan.checkpoints)
    missing = [row for row in plan.checkpoints if row in wanted - places.keys()]
    if missing:
        raise UsageError(f'{name} needs --checkpoint "{missing[0]}=PLACE": {plan.checkpoints[missing[0]]}')
    return places


def _name_of_checkpoint(plan: Plan, text: str) -> str:
    for row in plan.checkpoints:
        if text.startswith(f"{row}="):
            return row
    if not plan.checkpoints:
        raise UsageError("--checkpoint: this table needs none")
    if len(plan.checkpoints) == 1 and ("=" not in text or Path(text).exists()):
        return next(iter(plan.checkpoints))
    hint = near(text.partition("=")[0], plan.checkpoints)
    raise UsageError(f"--checkpoint {text}: say which one it is, NAME=PLACE{hint}")


def _place(plan: Plan, text: str) -> str:
    """A folder or file that there is; a name on the hub only where the backbone takes one and no import is needed."""
    if Path(text).expanduser().exists():
        return text
    if not plan.layout and plan.backbone.startswith("hf:") and text in plan.checkpoints.values():
        return text
    hint = "; `sparsebench import` writes such a folder" if plan.layout else ""
    raise UsageError(f"--checkpoint: {text} does not exist{hint}")
