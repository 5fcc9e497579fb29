"""The rows that suit the size of the data, out of the profile of its kind.

Rows of frozen features are always there. Rows that train more than a head need 200 training examples to have something
to train on, and are left out beyond 3,000, where they take more than a few minutes on two cores. A larger image size is
left out where the images are smaller than the next one below. Of conversations all rows stay: a model learns to
answer by training alone.
"""

from collections.abc import Sequence
from dataclasses import replace

from ...training.method import TrainedMethod
from ..discovery.installed import installed
from ..discovery.loading import load_method
from ..discovery.registry import find
from ..planning.chain import links_of
from ..planning.profile import Profile, load_profile, narrow
from ..planning.rows import Row
from .sources import OwnData

LEAST_TO_TRAIN = 200
MOST_TO_TRAIN = 3000
SMALL = 96
"""Pixels of the longer side up to which an image gains nothing from being made larger than the smallest size."""
PROFILE = "fit"
"""Of a kind without a profile of its own."""


def choose_rows(own: OwnData, seeds: int, wanted: Sequence[str] = ()) -> tuple[Profile, list[str]]:
    """The profile to run, and a line for each row or backbone that is left out.

    Args:
        own: the data.
        seeds: how many, of rows that a seed changes.
        wanted: backbones in the place of the profile's, on each of which every row runs.

    Returns:
        The profile, and the lines.

    Raises:
        UsageError: the libraries of their suite are not installed.
    """
    installed([own.task.suite])
    loaded = load_profile(own.task.profile or PROFILE, (own.task.suite,))
    (plan,) = loaded.plans
    plan = narrow(plan, (), (), wanted, seeds)
    notes = []
    train = own.counts["train"]
    rows = plan.methods
    if own.kind != "conversations" and not LEAST_TO_TRAIN <= train <= MOST_TO_TRAIN:
        rows = tuple(row for row in rows if not _trains(row))
        left = [row.label for row in plan.methods if row not in rows]
        bounds = f"they want {LEAST_TO_TRAIN} to {MOST_TO_TRAIN:,} training examples, and there are {train:,}"
        notes.append(f"left out: {', '.join(left)}: {bounds}")
    backbones = plan.backbones
    if own.kind == "images" and own.side <= SMALL and not wanted:
        backbones = tuple(name for name in backbones if _size(name) <= SMALL)
        left = [name for name in plan.backbones if name not in backbones]
        notes.append(f"left out: {', '.join(left)}: the images are {own.side} pixels wide")
    plan = replace(plan, methods=rows, backbones=backbones)
    return replace(loaded, plans=(plan,)), notes


def _trains(row: Row) -> bool:
    """Whether any link has a training loop."""
    return any(
        isinstance(load_method(find("method", link.method), link.config), TrainedMethod) for link in links_of(row)
    )


def _size(backbone: str) -> int:
    argument = backbone.partition(":")[2]
    return int(argument) if argument.isdecimal() else 0
