"""What made the records, and where they hold: the sentences of the page and of `RESULTS.md`.

Coverage (which code paths were run again) stands apart from confidence (what draws at random say of all the others).
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from ..records.record import Record
from ..records.vouchers import WORST_FIRST, Outcome, PathState, Standing
from ..statistics.bounds import unequal_at_most, unequal_in_strata_at_most
from ..tables.formatting import listed

SHOWN_COMMITS = 3
STATES: tuple[tuple[PathState, str], ...] = (
    ("outside", "do not: their records are to be made again"),
    ("undecided", "are undecided: only the type of processor that made their records can tell"),
    ("open", "have not been run again yet"),
)
NEVER = "no cell of these records has been run again to see whether they hold"


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
    """How many records nothing is said of, and why."""
    reasons = [f"{count} ({reason.rstrip('.')})" for reason, count in standing.excluded.items()]
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
