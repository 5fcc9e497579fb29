"""Claims of a profile: what is wrong with one is said, and which of several budgets it is about."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.profile import load_profile

from .study import CLAIM, SUITE, load


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": ["full_tuning", "prob"]}, "did you mean.*probe"),
        ({"rows": ["probe"]}, "S1 must name two rows or more"),
        ({"rows": ["probe", "probe"]}, "S1 compares a row with itself: say by which other metric, in `against`"),
        ({"throughout": True, "against": "mae"}, "S1 is about a curve, `throughout`: a second metric"),
        ({"tasks": ["bace"]}, "task 'bace'"),
        ({"tasks": []}, "S1 must name a task or more"),
        ({"backbone": "gin"}, "backbone 'gin'"),
        ({"direction": "left"}, "direction"),
        ({"directoin": "lower"}, "did you mean"),
        ({"source": None}, "S1 has no 'source'"),
    ],
)
def test_a_wrong_claim_is_explained(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        load(tmp_path, **changes)


def test_a_claim_about_backbones_needs_rows_that_name_theirs(tmp_path: Path) -> None:
    content = copy.deepcopy(SUITE) | {"backbones": ["tiny", "ecfp4"]}
    content["claims"] = [{key: value for key, value in CLAIM.items() if key != "backbone"}]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"molecules": content}))
    with pytest.raises(UsageError, match=r"names no backbone, and the row 'full_tuning' runs on tiny, ecfp4"):
        load_profile(str(path))
    full, probe = content["methods"]
    content["methods"] = [{"name": full, "backbones": ["tiny"]}, probe | {"backbones": ["ecfp4"]}]
    path.write_text(yaml.safe_dump({"molecules": content}))
    assert load_profile(str(path)).plans[0].claims[0].backbone == ""


def two_budgets(folder: Path, other: dict[str, Any], **changes: Any) -> Any:
    """The only claim of a study whose task is listed twice."""
    tasks = [{"name": "synthetic", "budget": {"epochs": 1}}, {"name": "synthetic"} | other]
    path = folder / "study.yaml"
    content = copy.deepcopy(SUITE) | {"tasks": tasks, "claims": [CLAIM | changes]}
    path.write_text(yaml.safe_dump({"molecules": content}))
    return load_profile(str(path)).plans[0].claims[0]


def test_a_claim_on_a_task_under_two_budgets_names_one(tmp_path: Path) -> None:
    """D14: all records of both budgets were compared, of each seed the one that came last."""
    told = r"S1: the row 'full_tuning' has 'synthetic' under several budgets: .*`budget`, {epochs: 1} or {epochs: 20}"
    with pytest.raises(UsageError, match=told):
        two_budgets(tmp_path, {"budget": {"epochs": 20}})
    assert two_budgets(tmp_path, {"budget": {"epochs": 20}}, budget={"epochs": 20}).budget == {"epochs": 20}
    with pytest.raises(UsageError, match=r"'synthetic' under no budget with {'epochs': 3}"):
        two_budgets(tmp_path, {"budget": {"epochs": 20}}, budget={"epochs": 3})


def test_a_budget_that_changes_no_score_is_no_other_one(tmp_path: Path) -> None:
    assert two_budgets(tmp_path, {"budget": {"epochs": 1, "watch": ["test"]}}).id == "S1"
