"""Where the numbers come from: data, environment and commits of the records, and at which code they hold.

Coverage (which code paths were run again) stands apart from confidence (what draws at random say of all the others).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..records.record import Record
from ..records.vouchers import WORST_FIRST, Outcome, PathState, Standing
from ..statistics.bounds import unequal_at_most, unequal_in_strata_at_most
from ..tables.dataframe import canonical, seconds
from ..tables.formatting import listed

MAX_VALUES = 4
SHOWN_COMMITS = 3
STATES: tuple[tuple[PathState, str], ...] = (
    ("outside", "do not: their records are to be made again"),
    ("undecided", "are undecided: only the type of processor that made their records can tell"),
    ("open", "have not been run again yet"),
)
NEVER = "no cell of these records has been run again to see whether they hold"


@dataclass(frozen=True)
class Provenance:
    """What all records have in common, and where they differ.

    `sources` are of data and weights: name, version, sha256 or a dash, licence, and the suites that read it.
    """

    sources: tuple[tuple[str, ...], ...]
    environment: tuple[tuple[str, str], ...]
    code: tuple[str, ...]
    seeds: str
    seconds: float
    started: str
    finished: str


def provenance(records: Sequence[Record]) -> Provenance:
    """The data sources, the environment, the seeds and the time behind all records."""
    suites: dict[tuple[str, str, str | None, str], dict[str, None]] = defaultdict(dict)
    values: dict[str, dict[str, None]] = defaultdict(dict)
    seen: set[tuple[str, int, int]] = set()
    for record in records:
        known = record.cell.suite, id(record.data), id(record.environment)
        if known in seen:  # slim records share these objects, and there may be very many records
            continue
        seen.add(known)
        for data in record.data:
            suites[data.source, data.version, data.sha256, data.licence][record.cell.suite] = None
        for key, value in record.environment.items():
            if not isinstance(value, str):
                value = canonical(value)
            values[key][value] = None
    # By name and version alone: a source without a checksum has None there, which has no order.
    named = sorted(suites.items(), key=lambda item: item[0][:2])
    seeds = sorted({record.cell.seed for record in records})
    return Provenance(
        tuple((name, version, sha256 or "–", *more, ", ".join(used)) for (name, version, sha256, *more), used in named),
        tuple((key, some(found)) for key, found in sorted(values.items())),
        tuple(dict.fromkeys(record.code for record in records)),
        some(map(str, seeds)),
        sum(map(seconds, records)),
        min((record.started for record in records), default=""),
        max((record.finished for record in records), default=""),
    )


def some(values: Iterable[str], separator: str = ", ") -> str:
    """The first values, and how many more there are."""
    found = list(values)
    more = len(found) - 2 * MAX_VALUES
    text = separator.join(found[: 2 * MAX_VALUES])
    if more > 0:
        text += f" and {more} more"
    return text


def commits_note(records: Sequence[Record], unknown: Collection[str]) -> str:
    """What is not right with the commits that records name; empty where all is.

    `unknown` are commits that the repository does not have. A record says by itself that its tree had changes that no
    commit holds.
    """
    absent = [record for record in records if record.commit in unknown]
    dirty = sum(record.environment.get("dirty") is True for record in records)
    parts = []
    if absent:
        commits = some(dict.fromkeys(str(record.environment.get("commit"))[:8] for record in absent))
        how_many = f"{len(absent):,} of {len(records):,} records"
        parts.append(f"{how_many} name a commit that this repository does not have ({commits})")
    if dirty:
        how_many = f"{dirty:,} of {len(records):,}"
        if not absent:  # else the sentence before has said of what
            how_many += " records"
        parts.append(f"{how_many} were made with changes that no commit holds")
    return "; ".join(parts)


def made_by(records: Iterable[Record]) -> str:
    """ "made by 4327171a and 93d07931"; the commits by how many records they made."""
    commits = Counter(record.commit for record in records)
    shown = []
    for commit, _ in commits.most_common(SHOWN_COMMITS):
        shown.append(commit[:8] if commit else "an unknown commit")
    if len(commits) > SHOWN_COMMITS:
        shown.append(f"{len(commits) - SHOWN_COMMITS} more commits")
    return f"made by {listed(shown)}"


def holds_at(standing: Standing | None) -> str:
    """What is known of one folder: "14 of 14 code paths hold at 669a8a2b, 29 of 161 records drawn at random ..."."""
    if standing is None:
        return NEVER
    states = standing.states
    parts = [f"{states['covered']} of {standing.paths} code paths hold at {standing.commit[:8]}"]
    for state, text in STATES:
        if states[state]:
            parts.append(f"{states[state]} {text}")
    if standing.other_errors:
        again = standing.again.total()
        parts.append(f"{standing.other_errors} of {again} cells run again have another standard error now")
    return "; ".join(filter(None, [*parts, _draws(standing), _excluded(standing)]))


def _draws(standing: Standing) -> str:
    """ "29 of 161 drawn at random equal: at most 8.7 % could differ (95 %)"."""
    drawn = standing.draws.total() - standing.draws["not run"]
    if not drawn:
        return ""
    hold = standing.draws["equal"] + standing.draws["rounding"]
    if hold == drawn:
        text = f"{drawn} of {standing.records} drawn at random equal"
    else:
        text = f"{hold} of {drawn} drawn at random (of {standing.records}) equal"
    if standing.draws["rounding"]:
        text += f" ({standing.draws['rounding']} to rounding)"
    if standing.draws["outside"]:
        return text
    most = unequal_at_most(standing.records, drawn, drawn - hold)
    return f"{text}: at most {per_cent(most, standing.records)} could differ (95 %)"


def per_cent(part: int, whole: int) -> str:
    """ "8.7 %", "14 %"."""
    found = 100 * part / whole
    if found >= 10:
        return f"{found:.0f} %"
    return f"{found:.2g} %"


def _excluded(standing: Standing) -> str:
    """How many records nothing is said of, and why; what files a folder of data is to hold, `run` says."""
    reasons = [f"{count} ({reason.partition(';')[0].rstrip('.')})" for reason, count in standing.excluded.items()]
    if standing.draws["not run"]:
        reasons.append(f"{standing.draws['not run']} drawn that could not be run")
    if not reasons:
        return ""
    return f"not vouched for: {', '.join(reasons)}"


def these_hold_at(standings: Sequence[Standing | None]) -> str:
    """What is known of one folder, or of several whose rows stand side by side."""
    if len(standings) > 1:
        text = all_hold_at(standings).removesuffix(".")
        return text[0].lower() + text[1:]
    return holds_at(next(iter(standings), None))


def all_hold_at(standings: Sequence[Standing | None]) -> str:
    """The one sentence over all folders."""
    known = [standing for standing in standings if standing is not None]
    if not known:
        return f"{NEVER.capitalize()}."
    covered = sum(standing.states["covered"] for standing in known)
    paths = sum(standing.paths for standing in known)
    commits = {standing.commit[:8] for standing in known}
    where = "the commits named below"
    if len(commits) == 1:
        where = commits.pop()
    again: Counter[Outcome] = sum((standing.again for standing in known), Counter())
    outcomes = ", ".join(f"{again[outcome]} {outcome}" for outcome in reversed(WORST_FIRST))
    text = f"{covered:,} of {paths:,} code paths behind these records hold at {where}"
    if len(known) < len(standings):
        text += f" ({len(standings) - len(known)} of {len(standings)} folders have not been looked at)"
    return f"{text}: of {again.total():,} cells run again, {outcomes}{_draws_of_all(known)}."


def _draws_of_all(standings: Sequence[Standing]) -> str:
    """What the draws say of all folders, where each of the drawn holds: a folder's bound is its own elsewhere."""
    strata = []
    for standing in standings:
        drawn = standing.draws.total() - standing.draws["not run"]
        if standing.draws["equal"] + standing.draws["rounding"] < drawn:
            return ""
        strata.append((standing.records, drawn))
    records = sum(number for number, _ in strata)
    drawn = sum(number for _, number in strata)
    if not drawn:
        return ""
    most = per_cent(unequal_in_strata_at_most(strata), records)
    return f"; {drawn:,} of {records:,} records drawn at random equal, so that at most {most} could differ (95 %)"
