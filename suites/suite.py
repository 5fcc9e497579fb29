"""What a suite says of itself. Each suite is a folder with `suite.py`, `tasks/`, `backbones/` and `profiles/`."""

from dataclasses import dataclass


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
