"""What a suite says of itself. Each suite is a folder with `suite.py`, `tasks/`, `backbones/` and `profiles/`."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Constants of one suite; importing them must stay cheap."""

    name: str
    version: str
    title: str
    description: str
    baseline: str
    """Label of the row that the paired differences are taken against."""
    unit: str
    """What costs are counted for: token, image or molecule."""
    libraries: tuple[str, ...]
    """Distributions whose version can change a number, and which are therefore part of a cell's identity."""
    group_baselines: Mapping[str, str] = field(default_factory=dict)
    """Baseline by group of tasks where it is another one; such a group is not averaged with the other tasks."""
    margins: Mapping[str, float] = field(default_factory=dict)
    """Unit of a score to the difference that counts as none: a row within it is called equivalent to the baseline."""
