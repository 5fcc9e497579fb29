"""Profiles: rows that only some tasks have, chains, seeds, and the examples that documents show."""

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from sparsebench.suites.runner.discovery.registry import ROOT, find
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning import profile as profile_module
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import Profile, built_in, load_profile, narrow

from .study import SUITE, load


def test_a_task_may_be_for_some_rows_only(tmp_path: Path) -> None:
    profile = load(tmp_path)
    pairs = {(cell.info.label, cell.info.task) for cell in expand(profile)}
    assert pairs == {("full_tuning", "synthetic"), ("probe", "synthetic"), ("probe", "freesolv")}
    named = narrow(profile.plans[0], ["full_tuning"], ["freesolv"], [], 1)
    assert [cell.info.task for cell in expand(Profile("p", (named,)))] == ["freesolv"]


def test_a_row_that_is_added_stands_where_the_rows_of_the_profile_stand(tmp_path: Path) -> None:
    """It had no cell in `quick`, whose tasks all name their rows."""
    path = tmp_path / "study.yaml"
    rows = ["full_tuning", {"name": "linear_probe", "label": "probe", "backbones": ["tiny"]}]
    listed = [
        {"name": "freesolv", "rows": ["probe"]},
        {"name": "synthetic", "rows": ["full_tuning"], "budget": {"epochs": 2}},
        {"name": "synthetic", "rows": ["probe"], "budget": {"epochs": 2}, "backbones": ["tiny"]},
        {"name": "synthetic", "rows": ["probe"], "budget": {"epochs": 3}},
    ]
    changes = {"methods": rows, "tasks": listed, "backbones": ["tiny", "ecfp4"], "claims": []}
    path.write_text(yaml.safe_dump({"molecules": SUITE | changes}))
    (plan,) = load_profile(str(path)).plans

    def cells(methods: list[str], backbones: list[str]) -> list[tuple[str, str, int]]:
        found = expand(Profile("p", (narrow(plan, methods, [], backbones, 1),)))
        return [(cell.info.task, cell.info.backbone, cell.info.budget["epochs"]) for cell in found]

    everywhere = [("synthetic", "tiny", 2), ("synthetic", "ecfp4", 2)]
    on_tiny = [("freesolv", "tiny", 10), ("synthetic", "tiny", 3)]
    assert sorted(cells(["random_forest"], [])) == sorted(everywhere + on_tiny)
    assert len(set(cells(["random_forest"], ["ecfp4"]))) == len(cells(["random_forest"], ["ecfp4"])) == 3
    assert sorted(cells(["probe"], [])) == [("freesolv", "tiny", 10), *(("synthetic", "tiny", e) for e in (2, 3))]
    for part in [*load_profile("quick").plans, *load_profile("smoke").plans]:
        mine = narrow(part, ["ssf"], [], [], 1)
        assert any(task.takes("ssf", backbone) for task in mine.tasks for backbone in mine.backbones), part.suite


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


def test_the_example_of_a_profile_of_ones_own_names_what_there_is(tmp_path: Path) -> None:
    """D7: it named a method that there is not."""
    example = (profile_module.__doc__ or "").partition("content:\n")[2].partition("A study")[0]
    path = tmp_path / "mine.yaml"
    path.write_text(textwrap.dedent(example))
    (plan,) = load_profile(str(path)).plans
    assert [row.role for row in plan.methods] == ["", "", "control", ""]
    for row in plan.methods:
        for link in row.chain:
            find("method", link.method)


def test_the_guide_shows_a_study_that_loads(tmp_path: Path) -> None:
    guide = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", guide, flags=re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "claims:" in block]
    path = tmp_path / "claims-probe.yaml"
    path.write_text(yaml.safe_dump({"molecules": yaml.safe_load(block)}))
    assert [claim.id for claim in load_profile(str(path)).plans[0].claims] == ["P1"]


def test_every_built_in_study_has_claims_and_seeds_enough() -> None:
    studies = [name for name in built_in() if name.startswith("claims-")]
    assert studies
    for name in studies:
        for plan in load_profile(name).plans:
            assert plan.claims
            for claim in plan.claims:
                assert max(plan.seeds, len(claim.trainings)) >= 3
