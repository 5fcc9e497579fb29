"""What a profile says of all its claims, and seeds by need."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparsebench.reports.tables.claims import Check
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.profile import load_profile
from sparsebench.suites.runner.planning.study import read_looks

from .study import CLAIM, SUITE

BARE = {key: value for key, value in CLAIM.items() if not key.startswith("smallest")}
EFFECTS = {"rmse": {"value": 0.1, "reason": "a tenth of chemical accuracy"}}
CHECK = {"kind": "metric", "metric": "rmse", "at_most": 2, "reason": "it does not learn", "claims": ["S1"]}


def claim_of(folder: Path, claim: dict[str, Any], **suite: Any) -> Any:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({"molecules": copy.deepcopy(SUITE) | suite | {"claims": [claim]}}))
    (plan,) = load_profile(str(path)).plans
    return plan.claims[0]


def test_a_claim_takes_what_it_lacks_from_the_study(tmp_path: Path) -> None:
    study = {"place": "on one split", "smallest_effects": EFFECTS, "checks": [CHECK]}
    claim = claim_of(tmp_path, BARE, study=study)
    assert (claim.smallest_effect, claim.smallest_reason) == (0.1, "a tenth of chemical accuracy")
    assert (claim.place, claim.looks) == ("on one split", ())
    assert claim.checks == (Check(kind="metric", metric="rmse", at_most=2, reason="it does not learn"),)
    own = {"smallest_effect": 0.2, "smallest_reason": "ours", "place": "elsewhere"}
    claim = claim_of(tmp_path, BARE | own, study=study)
    assert (claim.smallest_effect, claim.smallest_reason, claim.place) == (0.2, "ours", "elsewhere")
    equal = claim_of(tmp_path, BARE | {"relation": "equal", "margin": 0.3})
    assert (equal.smallest, equal.smallest_effect) == (0.3, None), "its margin is its smallest effect"


@pytest.mark.parametrize(
    ("claim", "study", "message"),
    [
        ({}, {}, r"S1 states no smallest effect of interest: .*smallest_effects: {rmse: {value"),
        ({"smallest_effect": 0.1}, {}, "`smallest_reason` must say why an effect below 0.1 is none"),
        ({"smallest_effect": -1.0, "smallest_reason": "ours"}, {}, "must be above 0"),
        ({"relation": "equal"}, {}, "must be above 0"),
        ({}, {"smallest_effects": {"rmse": {"value": 0.1}}}, "rmse: no 'reason'"),
        ({}, {"smallest_effects": {"rmsd": EFFECTS["rmse"], **EFFECTS}}, "metric 'rmsd', which is not listed"),
        ({}, {"smallest_effects": EFFECTS, "checks": [CHECK | {"claims": ["S2"]}]}, "claim 'S2', which is not listed"),
        ({}, {"smallest_effects": EFFECTS, "checks": [CHECK | {"rows": ["prob"]}]}, "the row 'prob'"),
        ({}, {"smallest_effects": EFFECTS, "checks": [CHECK | {"task": "bace"}]}, "the task 'bace'"),
        ({}, {"smallest_effects": EFFECTS, "checks": [CHECK | {"at_most": None}]}, "`at_least` or `at_most`"),
        ({}, {"plaace": "here"}, "unknown key 'plaace'"),
    ],
)
def test_what_a_study_lacks_is_said(claim: Any, study: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        claim_of(tmp_path, BARE | claim, study=study)


def test_looks_are_the_pilot_those_between_and_the_budget(tmp_path: Path) -> None:
    assert read_looks(5, "seeds") == ()
    assert read_looks({"pilot": 3, "budget": 12}, "seeds") == (3, 12)
    assert read_looks({"pilot": 3, "budget": 12, "looks": [9, 6, 3]}, "seeds") == (3, 6, 9, 12)
    assert claim_of(tmp_path, CLAIM, seeds={"pilot": 3, "budget": 6}).looks == (3, 6)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ({"pilot": 2, "budget": 12}, "a pilot of 3 seeds or more"),
        ({"pilot": 5, "budget": 5}, "a larger budget"),
        ({"pilot": 3, "budget": 12, "looks": [13]}, "looks between"),
        ({"pilot": 3}, "no 'budget'"),
        ({"pilot": 3, "budget": 12, "alpha": 0.1}, "unknown key 'alpha'"),
        ({"pilot": "3", "budget": 12}, "pilot must be a whole number"),
        (0, "must be a whole number"),
    ],
)
def test_looks_that_make_no_sense_are_refused(seeds: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_looks(seeds, "seeds")


def test_a_task_with_seeds_of_its_own_has_no_looks(tmp_path: Path) -> None:
    tasks = [{"name": "synthetic", "seeds": 4}]
    with pytest.raises(UsageError, match="'synthetic' has seeds of its own, and the suite adds them by need"):
        claim_of(tmp_path, CLAIM, seeds={"pilot": 3, "budget": 6}, tasks=tasks)


TRAINED = {"unit": "training", "smallest_effects": EFFECTS}
NETS = {"backbones": ["tiny:0", "tiny:1", "tiny_generator:0"]}
METHODS = [
    {"name": "full_tuning", "backbones": ["tiny:0", "tiny:1"]},
    {"name": "linear_probe", "label": "probe", "backbones": ["tiny:0", "tiny:1"]},
]
FREE = {key: value for key, value in BARE.items() if key != "backbone"}


def test_a_study_over_trainings_knows_them(tmp_path: Path) -> None:
    suite = NETS | {"methods": METHODS, "study": TRAINED}
    assert claim_of(tmp_path, FREE, **suite).trainings == ("0", "1")
    based = FREE | {"base": {"probe": "full_tuning"}}
    assert claim_of(tmp_path, based, **suite).base == {"probe": "full_tuning"}


@pytest.mark.parametrize(
    ("claim", "suite", "message"),
    [
        ({"backbone": "tiny:0"}, {}, "S1 names a backbone, but the study is over trainings of it"),
        ({"base": {"probe": "none"}}, {}, "the row 'none', which is not listed"),
        ({"base": {"none": "probe"}}, {}, "the row 'none', which is not listed"),
        ({}, {"seeds": {"pilot": 3, "budget": 6}}, "seeds by need add draws, and no trainings"),
        ({}, {"methods": [METHODS[0], METHODS[1] | {"backbones": ["tiny:1"]}]}, "'full_tuning' and 'probe' run on oth"),
        ({}, {"methods": [METHODS[0], METHODS[1] | {"backbones": NETS["backbones"]}]}, "must run on trainings of one"),
        (
            {"tasks": ["synthetic", "freesolv"]},
            {"tasks": ["synthetic", "freesolv"]},
            "on one task, not on synth",
        ),
        ({}, {"study": TRAINED | {"unit": "model"}}, "the unit is seed or training, not 'model'"),
    ],
)
def test_what_cannot_be_a_study_over_trainings_is_said(claim: Any, suite: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        claim_of(tmp_path, FREE | claim, **(NETS | {"methods": METHODS, "study": TRAINED} | suite))
