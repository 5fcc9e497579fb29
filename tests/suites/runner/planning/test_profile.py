"""A study: claims in a profile, their way into the result folder, and rows that only some tasks have."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparsebench.suites.runner.discovery.registry import ROOT
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import Profile, built_in, load_profile, narrow

CLAIM = {
    "id": "S1",
    "statement": "Full tuning is better than a probe.",
    "source": "folklore",
    "backbone": "tiny",
    "tasks": ["synthetic"],
    "metric": "rmse",
    "rows": ["full_tuning", "probe"],
    "direction": "lower",
}
SUITE = {
    "seeds": 3,
    "backbones": ["tiny"],
    "methods": ["full_tuning", {"name": "linear_probe", "label": "probe"}],
    "tasks": ["synthetic", {"name": "freesolv", "rows": ["probe"]}],
    "claims": [CLAIM],
}


def load(folder: Path, **changes: Any) -> Profile:
    content = copy.deepcopy(SUITE)
    content["claims"][0] |= changes
    content["claims"][0] = {key: value for key, value in content["claims"][0].items() if value is not None}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({"molecules": content}))
    return load_profile(str(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": ["full_tuning", "prob"]}, "did you mean.*probe"),
        ({"rows": ["probe"]}, "S1 must name two rows or more"),
        ({"rows": ["probe", "probe"]}, "S1 compares a row with itself: say by which other metric, in `against`"),
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


def test_a_task_may_be_for_some_rows_only(tmp_path: Path) -> None:
    profile = load(tmp_path)
    pairs = {(cell.info.label, cell.info.task) for cell in expand(profile)}
    assert pairs == {("full_tuning", "synthetic"), ("probe", "synthetic"), ("probe", "freesolv")}
    named = narrow(profile.plans[0], ["full_tuning"], ["freesolv"], [], 1)
    assert [cell.info.task for cell in expand(Profile("p", (named,)))] == ["freesolv"]


def test_a_chain_is_named_by_its_methods_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "chains.yaml"
    chain = {"chain": ["linear_probe", "full_tuning"], "label": "both"}
    path.write_text(yaml.safe_dump({"molecules": SUITE | {"methods": [chain], "tasks": ["synthetic"], "claims": []}}))
    plan = load_profile(str(path)).plans[0]
    assert narrow(plan, ["linear_probe+full_tuning"], [], [], 1).methods == plan.methods
    (row,) = narrow(plan, ["full_tuning+linear_probe"], [], [], 1).methods
    assert (row.name, row.label) == ("full_tuning+linear_probe", "full_tuning + linear_probe")
    (cell,) = expand(Profile("p", (narrow(plan, [row.name], [], [], 1),)))
    assert cell.reason is None
    assert [link.method for link in cell.info.links] == ["full_tuning", "linear_probe"]
    assert cell.info.then[0].config.keys() and cell.title == f"molecules/synthetic {row.label} on tiny seed 0"


def test_a_task_may_have_seeds_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    tasks = [{"name": "synthetic", "seeds": 2}, {"name": "freesolv", "rows": ["full_tuning"]}]
    path.write_text(yaml.safe_dump({"molecules": SUITE | {"tasks": tasks, "methods": ["full_tuning"], "claims": []}}))
    cells = [(cell.info.task, cell.info.seed) for cell in expand(load_profile(str(path)))]
    assert sorted(cells) == [*(("freesolv", seed) for seed in range(3)), ("synthetic", 0), ("synthetic", 1)]
    path.write_text(yaml.safe_dump({"molecules": SUITE | {"tasks": [{"name": "synthetic", "seeds": 0}]}}))
    with pytest.raises(UsageError, match="seeds of 'synthetic' must be a whole number from 1 to 10000, not 0"):
        load_profile(str(path))


def test_a_task_for_an_unknown_row_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"molecules": SUITE | {"tasks": [{"name": "synthetic", "rows": ["prob"]}]}}))
    with pytest.raises(UsageError, match="row 'prob', which is not listed; did you mean"):
        load_profile(str(path))


def test_the_guide_shows_a_study_that_loads(tmp_path: Path) -> None:
    guide = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", guide, flags=re.MULTILINE | re.DOTALL)
    path = tmp_path / "claims-probe.yaml"
    path.write_text(yaml.safe_dump({"molecules": yaml.safe_load(block)}))
    assert [claim.id for claim in load_profile(str(path)).plans[0].claims] == ["P1"]


def test_every_built_in_study_has_claims_and_seeds_enough() -> None:
    studies = [name for name in built_in() if name.startswith("claims-")]
    assert studies
    for name in studies:
        for plan in load_profile(name).plans:
            assert plan.claims
            assert plan.seeds >= 3
