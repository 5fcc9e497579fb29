"""Which rows get more seeds, by what claims say so far."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sparsebench.reports.statistics import Estimate
from sparsebench.reports.tables.claims import Check, Finding, Step
from sparsebench.reports.tables.claims.evidence import Compared
from sparsebench.suites.runner.planning.by_need import grown, said
from sparsebench.suites.runner.planning.expansion import cells_of
from sparsebench.suites.runner.planning.profile import Profile, load_profile, with_seeds

from .study import CLAIM, SUITE


def profile(folder: Path) -> Profile:
    content = copy.deepcopy(SUITE) | {"seeds": {"pilot": 3, "budget": 12, "looks": [6]}}
    content["methods"].append({"name": "full_tuning", "label": "slow", "config": {"learning_rate": 0.01}})
    content["claims"].append(CLAIM | {"id": "S2", "rows": ["slow", "probe"]})
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({"molecules": content}))
    return load_profile(str(path))


def findings(made: Profile, **of_first: Any) -> list[Finding]:
    """Both claims undecided at the first look, the first with other fields."""
    found = []
    for claim in made.plans[0].claims:
        compared = Compared(*claim.pairs[0], None, seeds=3)
        step = Step(compared, Estimate(0.0, 1.0, 3, "seeds"), "undecided")
        found.append(Finding(claim, "undecided", (step,), "", 0.0, ()))
    return [replace(found[0], **of_first), found[1]]


def test_rows_of_claims_that_stand_get_no_more_seeds(tmp_path: Path) -> None:
    pilot = profile(tmp_path)
    pair = ("full_tuning", "probe", None)
    unscored = (Step(Compared(*pair, reason="full_tuning has no score on synthetic"), None, "undecided"),)
    hopeless = (Step(Compared(*pair, seeds=3), Estimate(0.0, 9.0, 3, "seeds"), "undecided", chance=0.01),)
    reasons = ({"verdict": "holds", "stands": True}, {"verdict": "not testable here"}, {"steps": unscored})
    for settled in (*reasons, {"steps": hopeless}):
        more = grown(pilot, findings(pilot, **settled))
        assert more.plans[0].row_seeds == {"slow": 6, "probe": 6}
    told = said(more, findings(pilot, verdict="holds", stands=True))
    assert told == "seeds by need: 1 of 2 claims stand, 1 may go on; molecules: up to 6 of 12 seeds for 2 rows"
    assert "1 may go on, 1 given up;" in said(more, findings(pilot, steps=hopeless))


def test_null_rows_get_the_seeds_of_their_claims(tmp_path: Path) -> None:
    """With fewer seeds a null row hardly fulfils anything, and claims pass that it would leave untestable."""
    pilot = profile(tmp_path)
    first, second = findings(pilot, verdict="holds", stands=True)
    null = Check(kind="null row", rows=("full_tuning",), reason="chance")
    of_null = replace(second, claim=replace(second.claim, checks=(null,)))
    assert grown(pilot, [first, of_null]).plans[0].row_seeds == {"slow": 6, "probe": 6, "full_tuning": 6}


def test_it_ends_where_nothing_is_open_or_the_budget_is_used_up(tmp_path: Path) -> None:
    pilot = profile(tmp_path)
    ended = [replace(finding, look=2) for finding in findings(pilot)]
    assert grown(pilot, ended) == pilot
    (plan,) = pilot.plans
    lost = replace(pilot, plans=(replace(plan, row_seeds={"slow": 12, "probe": 12, "full_tuning": 12}),))
    assert grown(lost, findings(pilot)) == lost, "cells without a record leave no look complete"


def test_cells_have_the_seeds_of_their_rows(tmp_path: Path) -> None:
    pilot = profile(tmp_path)
    more = grown(pilot, findings(pilot, verdict="holds", stands=True))
    before, after = ([cell.info for cell in cells_of(made)] for made in (pilot, more))
    assert {(cell.label, cell.seed) for cell in after} - {(cell.label, cell.seed) for cell in before} == {
        (row, seed) for row in ("slow", "probe") for seed in (3, 4, 5)
    }
    fixed = with_seeds(more.plans[0], 2)
    assert (fixed.seeds, fixed.looks, fixed.row_seeds) == (2, (), {})
