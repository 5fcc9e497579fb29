"""What `vouch` says in the end: of each folder what holds, and what is to be done where something does not."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from sparsebench.reports.page.provenance import all_hold_at, holds_at
from sparsebench.reports.records.vouchers import Standing

from ..planning.plan_file import read_plan


def to_text(standings: Mapping[Path, Standing | None]) -> str:
    """A line a folder, and one for all."""
    lines = []
    for folder, standing in standings.items():
        lines.append(f"{folder}: {holds_at(standing)}")
        if standing is not None and standing.outside:
            lines += [f"    {command}" for command in _commands(folder)]
    return "\n".join([*lines, all_hold_at(list(standings.values()))])


def _commands(folder: Path) -> list[str]:
    """What makes the records again whose code path does not hold; the others are kept."""
    profiles = dict.fromkeys(part.profile for part in read_plan(folder).values())
    return [f"sparsebench run --profile {profile} --out {folder}" for profile in profiles]


def exit_code(standings: Iterable[Standing | None]) -> int:
    """1 where a path of one of the folders does not hold."""
    return int(any(standing is not None and standing.outside for standing in standings))
