"""What `vouch` says in the end: of each folder what holds, and what is to be done where something does not."""

from collections.abc import Sequence
from pathlib import Path

from sparsebench.reports.page.holding import all_hold_at, holds_at
from sparsebench.reports.records.vouchers import Vouchers

from ..planning.plan_file import read_plan


def to_text(folders: Sequence[Path]) -> str:
    """A line a folder, and one for all."""
    standings = [Vouchers(folder).standing() for folder in folders]
    lines = []
    for folder, standing in zip(folders, standings, strict=True):
        lines.append(f"{folder}: {holds_at(standing)}")
        if standing is not None and standing.outside:
            lines += [f"    {command}" for command in _commands(folder)]
    return "\n".join([*lines, all_hold_at(standings)])


def _commands(folder: Path) -> list[str]:
    """What makes the records again whose code path does not hold; the others are kept."""
    profiles = dict.fromkeys(part.profile for part in read_plan(folder).values())
    return [f"sparsebench run --profile {profile} --out {folder}" for profile in profiles]


def exit_code(folders: Sequence[Path]) -> int:
    """1 where a path of one of the folders does not hold."""
    standings = [Vouchers(folder).standing() for folder in folders]
    return int(any(standing is not None and standing.outside for standing in standings))
