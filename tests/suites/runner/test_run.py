"""A whole run: the plan in the result folder, and a study from its profile to the verdict."""

import io
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from sparsebench.data.errors import OfflineError
from sparsebench.reports.page.html import unpack
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner import run as module
from sparsebench.suites.runner.execution.execute import End
from sparsebench.suites.runner.execution.executors.interface import Options
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.plan_file import planned_claims, write_plan
from sparsebench.suites.runner.planning.profile import load_profile
from sparsebench.suites.runner.results.readings import open_readings
from sparsebench.suites.runner.run import run

from . import cells
from .conftest import PLUGIN
from .planning.study import CLAIM

SUITE = {
    "seeds": 3,
    "backbones": ["tiny"],
    "methods": ["full_tuning", {"name": "linear_probe", "label": "probe"}],
    "tasks": ["synthetic"],
    "budget": {"epochs": 1},
    "claims": [CLAIM],
}


def test_claims_go_into_the_result_folder_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"molecules": SUITE}))
    profile = load_profile(str(path))
    write_plan(profile, expand(profile), tmp_path, "exact")
    (claim,) = planned_claims(tmp_path)
    assert claim == profile.plans[0].claims[0]
    assert (claim.suite, claim.rows, claim.relation) == ("molecules", ("full_tuning", "probe"), "ordered")


def test_run_and_report_give_the_verdict(bench: Any) -> None:
    path = bench.write_profile({"molecules": SUITE})
    run = ["run", "--profile", str(path), "--out", str(bench.out), "--workers", "1"]
    assert bench.call(*run).returncode == 0
    shown = bench.call("report", str(bench.out))
    assert shown.returncode == 0, shown.stderr
    assert "S1" in shown.stdout
    document = (bench.out / "report" / "claims.md").read_text()
    (row,) = [line for line in document.splitlines() if line.startswith("| S1 ")]
    assert "full_tuning − probe: " in row
    assert any(f"| {verdict}" in row for verdict in ("holds", "fails", "undecided"))
    page = unpack((bench.out / "report" / "index.html").read_text())
    assert page["claims"]["total"] == 1


def test_a_run_without_any_cell_that_applies_says_why_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"molecules": {**SUITE, "methods": ["expert_drop"], "claims": []}}))
    output = io.StringIO()
    options = Options(workers=1, threads=1)
    code = run(load_profile(str(path)), tmp_path / "results", options, "exact", Console(file=output, width=200))
    assert code == 1
    said = [line for line in output.getvalue().splitlines() if line.startswith("nothing to score: ")]
    assert len(said) == 1 and "experts" in said[0]


def test_it_is_said_where_the_traceback_of_a_failed_cell_is() -> None:
    cell = cells.cell()
    output = io.StringIO()
    failed = {cell.id: End(cell.id, "failed", "KeyError: 'width'", 1.0)}
    assert module._finish([cell], failed, {}, [], 1.0, 1, Console(file=output, width=200)) == 1
    assert f"KeyError: 'width'\ntheir tracebacks are in their records: records/{cell.id}.json\n" in output.getvalue()


def test_a_model_that_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped folder may be a name of the hub: each cell would try to fetch it for half a minute, and fail."""
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    suite = {"seeds": 1, "backbones": ["hf:models/mien"], "methods": ["dense"], "tasks": ["bpb_law"]}

    def ran() -> str:
        Path("study.yaml").write_text(yaml.safe_dump({"llm": suite}))
        output = io.StringIO()
        options = Options(workers=1, threads=1)
        run(load_profile("study.yaml"), tmp_path / "results", options, "only", Console(file=output, width=200))
        return output.getvalue()

    says = "hf:models/mien: there is no folder models/mien; did you mean models/mine\\?, and .*SPARSEBENCH_OFFLINE"
    with pytest.raises(OfflineError, match=says):
        ran()
    assert not (tmp_path / "results").exists()
    suite["backbones"] = ["hf:models/mien", "small_llama"]
    assert len(re.findall(says, ran())) == 1


def test_seeds_are_added_by_need(bench: Any) -> None:
    """A claim that stands after the pilot gets no more seeds; the same command again has nothing to do."""
    rows = ["toy_fine", {"name": "toy_fine", "label": "again", "config": {"nap": 0.001}}, "toy_leak"]
    about = {"tasks": ["toy_sum"], "metric": "mse", "backbone": "toy_line", "direction": "lower", "source": "folklore"}
    claims = [
        {"id": "same", "statement": "Naps change nothing.", "rows": ["toy_fine", "again"], **about},
        {"id": "exact", "statement": "Ones add exactly.", "rows": ["toy_fine", "toy_leak"], **about},
    ]
    study = {"smallest_effects": {"mse": {"value": 0.1, "reason": "our choice"}}}
    seeds = {"pilot": 3, "budget": 6, "looks": [5]}
    bench.write_toys(*rows, seeds=seeds, claims=claims, study=study)
    first = bench.call(*bench.run_arguments(1))
    assert first.returncode == 0, first.stderr
    assert "1 of 2 claims stand, 1 may go on; molecules: up to 5 of 6 seeds for 2 rows" in first.stdout
    counts = Counter(record.cell.label for record in Store(bench.out).open().read_all()[0])
    assert counts["again"] == 3
    assert counts["toy_fine"] == counts["toy_leak"] > 3
    with open_readings([bench.out]) as reading:
        same, exact = reading.findings
    assert (same.verdict, same.look, same.seeds) == ("negligible", 0, 3)
    assert exact.seeds == counts["toy_fine"]
    second = bench.call(*bench.run_arguments(1))
    assert second.stdout.count(", 0 to run") == second.stdout.count(" to run") > 1


@pytest.fixture
def run_of_older_code(make_bench: Any, tmp_path: Path) -> Callable[[str, int], Any]:
    """Run one toy method, expecting an exit code, and change its code: the bench as it is then."""

    def run(method: str, returncode: int) -> Any:
        plugin = tmp_path / "plugin"
        shutil.copytree(PLUGIN, plugin)
        bench = make_bench(tmp_path, plugin)
        bench.write_toys(method)
        assert bench.call(*bench.run_arguments()).returncode == returncode
        file = plugin / "toybench" / f"{method}.py"
        file.write_text(f"{file.read_text()}\nCHANGED = 1\n")
        return bench

    return run


def test_records_of_older_code_that_are_kept_are_counted_as_such(run_of_older_code: Callable[[str, int], Any]) -> None:
    bench = run_of_older_code("toy_fine", 0)
    kept = bench.call(*bench.run_arguments(), "--reuse", "always")
    assert "1 cell, 0 to run" in kept.stdout
    assert "1 of older code" in kept.stdout
    assert kept.returncode == 0
    assert "1 missing" in bench.call(*bench.run_arguments(), "--reuse", "only").stdout
    again = bench.call(*bench.run_arguments())
    assert "1 ok" in again.stdout


def test_a_failure_of_older_code_is_no_score(run_of_older_code: Callable[[str, int], Any]) -> None:
    bench = run_of_older_code("toy_raise", 1)
    kept = bench.call(*bench.run_arguments(), "--reuse", "always")
    assert "1 missing" in kept.stdout
    assert kept.returncode == 1


@pytest.mark.parametrize(("executor", "fetched"), [("local", {"digits", "efficientnet-lite0"}), ("ray", set())])
def test_sources_are_fetched_before_the_first_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str, fetched: set[str]
) -> None:
    """But where cells run on other machines."""
    seen: set[str] = set()
    monkeypatch.setattr(module, "fetch_missing", lambda names, say: seen.update(names))
    monkeypatch.setattr(module, "run_cells", lambda *_: ([], 0.0))
    path = tmp_path / "study.yaml"
    part = {"seeds": 1, "backbones": ["efficientnet_lite0:64"], "methods": ["linear_probe"], "tasks": ["digits"]}
    path.write_text(yaml.safe_dump({"vtab": part}))
    options = Options(workers=1, threads=1, executor=executor)
    run(load_profile(str(path)), tmp_path / "results", options, "exact", Console(file=io.StringIO()))
    assert seen == fetched
