"""`sparsebench vouch`: from the command line with toys whose code really changes, and how cells are drawn."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sparsebench.reports.page.html import unpack
from sparsebench.reports.records.store import Store
from sparsebench.reports.records.vouchers import FILE, Survey, Voucher, Vouchers, append
from sparsebench.suites.runner.discovery.closure import HOME
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.execute import failure
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.verification import vouch as vouching
from sparsebench.suites.runner.verification.survey import Candidate
from sparsebench.suites.runner.verification.vouch import Folder, Place, Time, here

PLUGIN = Path(__file__).parents[1] / "plugin"
METHOD = '''"""Sets all weights to a number."""

import time
from dataclasses import dataclass

import torch
from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method


@dataclass(frozen=True, kw_only=True)
class {name}(Method):
    """A method that works."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """All the same."""
        time.sleep(0.3)
        {trains}
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.fill_(2.0)
        return backbone
'''
TRAINS = "context.ledger.count(backbone.parameters()); context.ledger.add(seconds=1.0)"
METHODS = {"toy_same": "", "toy_trained": TRAINS, "toy_other": ""}
VALUE = "errors.mean().item()"
SEEDS = 3


class Toys:
    """A bench whose plug-in can be changed, and a repository in the place of ours whose commits are empty."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.package = bench.folder / "plugin" / "toybench"
        repository = bench.folder / "repository"
        subprocess.run(["git", "init", "-q", str(repository)], check=True)
        person = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        bench.environment |= {"GIT_DIR": str(repository / ".git"), "GIT_WORK_TREE": str(HOME), **person}
        self.git("commit", "-q", "--allow-empty", "-m", "one")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], env=self.bench.environment, cwd=HOME, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def change(self, module: str, before: str, after: str) -> None:
        file = self.package / f"{module}.py"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))

    def vouch(self, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess:
        return self.bench.call("vouch", str(folder or self.bench.out), "--workers", "2", *arguments)

    def copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.bench.out, self.bench.folder / name))


@pytest.fixture(scope="module")
def toys(make_bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Toys:
    """Three methods on two tasks with seeds, all run before the code of each changes; made on another processor."""
    folder = tmp_path_factory.mktemp("vouch")
    plugin = folder / "plugin"
    shutil.copytree(PLUGIN, plugin)
    entry_points = plugin / "toybench-0.1.dist-info" / "entry_points.txt"
    lines = "".join(f"{name} = toybench.{name}\n" for name in METHODS)
    text = entry_points.read_text().replace("[sparsebench.methods]\n", f"[sparsebench.methods]\n{lines}")
    entry_points.write_text(
        text.replace("[sparsebench.tasks]\n", "[sparsebench.tasks]\nmolecules.toy_double = toybench.toy_double\n")
    )
    found = Toys(make_bench(folder, plugin))
    for name, trains in METHODS.items():
        title = name.title().replace("_", "")
        (found.package / f"{name}.py").write_text(METHOD.format(name=title, trains=trains or "pass"))
    double = (found.package / "toy_sum.py").read_text().replace("ToySum", "ToyDouble")
    (found.package / "toy_double.py").write_text(double.replace(VALUE, f"1.0 * {VALUE}"))
    found.bench.write_toys(*METHODS, tasks=("toy_sum", "toy_double"), seeds=SEEDS)
    assert found.bench.call(*found.bench.run_arguments()).returncode == 0
    for path in (found.bench.out / "records").glob("*.json"):
        content = json.loads(path.read_text())
        content["environment"]["processor_type"] = "of another family"
        path.write_text(json.dumps(content))
    found.change("toy_same", "return backbone", "backbone.changed = True\n        return backbone")
    found.change("toy_trained", "2.0", "2.000002")
    found.change("toy_other", "2.0", "3.0")
    found.change("toy_double", "1.0 *", "(1 + 1e-12) *")
    return found


def outcomes(folder: Path) -> dict[tuple[str, str], str]:
    records, _ = Store(folder).open().read_all()
    places = {record.id: (record.cell.method, record.cell.task) for record in records}
    return {places[voucher.id]: voucher.outcome for voucher in Vouchers(folder).all}


def test_each_outcome_comes_from_a_change_of_the_code(toys: Toys) -> None:
    """One cell of each path; what does not hold is run again by `run`, and all is covered then."""
    folder = toys.copy("outcomes")
    done = toys.vouch("--minutes", "1", folder=folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert outcomes(folder) == {
        ("toy_same", "toy_sum"): "equal",
        ("toy_same", "toy_double"): "rounding",
        ("toy_trained", "toy_sum"): "undecided",
        ("toy_trained", "toy_double"): "undecided",
        ("toy_other", "toy_sum"): "outside",
        ("toy_other", "toy_double"): "outside",
    }
    vouchers = Vouchers(folder)
    assert {voucher.drawn for voucher in vouchers.all} == {"path"}, "nothing is drawn where a path does not hold"
    assert {voucher.commit for voucher in vouchers.all} == {toys.git("rev-parse", "HEAD")}
    (other, *_) = [voucher for voucher in vouchers.all if voucher.outcome == "outside"]
    assert other.numbers["mse"][0] != other.numbers["mse"][1] and other.seconds > 0.3
    assert "2 of 6 code paths hold at" in done.stdout and "2 do not" in done.stdout and "2 are undecided" in done.stdout
    profile = str(toys.bench.folder / "toy.yaml")
    assert f"sparsebench run --profile toy --out {folder}" in done.stdout
    marked = {row["name"] for track in report(toys, folder)["tracks"] for row in track["rows"] if row["other"]}
    assert len(marked) == 1, "the row of toy_other"
    planned = json.loads(toys.bench.call("plan", "-p", profile, "--out", str(folder), "--json").stdout)
    assert planned["states"] == {"stale": 4 * SEEDS, "vouched": 2 * SEEDS}
    run = toys.bench.call("run", "-p", profile, "--out", str(folder), "--workers", "2")
    assert f"{6 * SEEDS} cells, {4 * SEEDS} to run" in run.stdout, run.stdout
    assert f"{4 * SEEDS} ok, {2 * SEEDS} vouched" in run.stdout and run.returncode == 0
    assert "6 of 6 code paths hold" in toys.vouch(folder=folder).stdout


def report(toys: Toys, folder: Path) -> dict[str, Any]:
    assert toys.bench.call("report", str(folder)).returncode == 0
    return unpack((folder / "report" / "index.html").read_text())


def test_draws_go_on_where_a_killed_run_stopped(toys: Toys) -> None:
    folder = toys.copy("killed")
    for path in (folder / "records").glob("*.json"):
        if json.loads(path.read_text())["cell"]["method"] != "toy_same":
            path.unlink()
    (folder / "plan.json").unlink()
    process = toys.bench.start("vouch", str(folder), "--minutes", "60", "--workers", "1")
    deadline = time.monotonic() + 120
    while len(kept := Vouchers(folder).all) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = Vouchers(folder).all
    assert 4 <= len(kept) < 2 + 2 * SEEDS
    toys.git("commit", "-q", "--allow-empty", "-m", "no change of the code")
    done = toys.vouch("--minutes", "60", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    vouchers = Vouchers(folder)
    assert vouchers.all[: len(kept)] == kept
    assert Counter(voucher.drawn for voucher in vouchers.all) == {"path": 2, "random": 2 * SEEDS}
    assert len(vouchers.draws()) == 2 * SEEDS, "each is drawn once"
    assert "6 of 6 drawn at random equal (3 to rounding): at most 0 % could differ" in done.stdout
    assert (folder / FILE).read_text().count('{"survey"') == 1
    again = toys.vouch("--minutes", "60", folder=folder)
    assert again.returncode == 0 and "[1/" not in again.stderr, "all is done"


def test_a_tree_with_changes_is_refused(toys: Toys) -> None:
    toys.git("add", "README.md")
    try:
        done = toys.vouch()
    finally:
        toys.git("rm", "-q", "--cached", "README.md")
    assert done.returncode == 2 and "the tree has changes that no commit holds" in done.stderr
    assert not (toys.bench.out / FILE).exists()


def test_without_a_commit_nothing_is_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vouching, "machine", lambda: {"commit": None, "dirty": None})
    with pytest.raises(UsageError, match="names the commit"):
        here()


COMMITS = ("a" * 40, "b" * 40)


@pytest.fixture
def candidates(planned: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Candidate]:
    """Twelve records of two paths, as the survey of any folder finds them."""
    found = []
    for number in range(12):
        record = failure(planned[0], "failed", "why", started="1")
        record = dataclasses.replace(record, environment=record.environment | {"threads": 1})
        code = f"old {number % 2}"
        record = dataclasses.replace(record, id=f"{number:02}", code=code, times={"total": 60.0 - number})
        found.append(Candidate(tmp_path, record, planned[0]))
    paths = sorted((*path, count) for path, count in Counter(one.path for one in found).items())
    monkeypatch.setattr(vouching, "survey", lambda folder, commit: (Survey(commit=commit, paths=paths), found))
    return found


def folder(path: Path, commit: str = COMMITS[0]) -> Folder:
    path.mkdir(exist_ok=True)
    return Folder(path, Place(commit, "a family"))


def drawn(folder: Folder) -> list[str]:
    return [one.record.id for one in folder.draws()]


def voucher(candidate: Candidate, **fields: Any) -> Voucher:
    about = {"processor_type": "a family", "libraries": [], "metrics": {}, "numbers": {}, "reason": ""}
    about |= {"id": candidate.record.id, "drawn": "random", "commit": COMMITS[0], "outcome": "equal", "seconds": 1.0}
    about |= {"code": candidate.path[0], "code_now": candidate.path[1], "other_errors": False}
    return Voucher(**(about | fields))


def test_the_order_of_draws_is_that_of_folder_and_commit_alone(candidates: list[Candidate], tmp_path: Path) -> None:
    order = drawn(folder(tmp_path / "one"))
    assert sorted(order) == [f"{number:02}" for number in range(12)] != order
    candidates.reverse()
    (tmp_path / "elsewhere").mkdir()
    assert drawn(folder(tmp_path / "elsewhere" / "one")) == order, "neither where it lies nor what was found first"
    assert drawn(folder(tmp_path / "two")) != order
    assert drawn(folder(tmp_path / "three", COMMITS[1])) != order


def test_draws_go_on_stop_and_begin_again(candidates: list[Candidate], tmp_path: Path) -> None:
    one = folder(tmp_path / "one")
    order = drawn(one)
    by_id = {candidate.record.id: candidate for candidate in candidates}
    append(one.path, voucher(by_id[order[0]]))
    append(one.path, voucher(by_id[order[1]], outcome="not run", reason="no data"))
    append(one.path, voucher(by_id[order[5]], drawn="path"))
    assert drawn(one) == order[2:]
    later = folder(one.path, COMMITS[1])
    assert sorted(drawn(later)) == sorted(order[2:]), "another commit of the same code: another order of the rest"
    del candidates[:2]
    append(one.path, Survey(commit=COMMITS[1], paths=[("x", "y", 3)]))
    assert sorted(drawn(folder(one.path))) == sorted(id for id in order if id in by_id and id not in ("00", "01"))
    append(one.path, voucher(by_id["03"], outcome="outside"))
    assert drawn(one) == []


def test_paths_are_covered_by_the_cheapest_and_undecided_ones_by_their_own_type(
    candidates: list[Candidate], tmp_path: Path
) -> None:
    one = folder(tmp_path / "one")
    assert {candidate.record.id for candidate in one.for_paths()} == {"10", "11"}
    append(one.path, voucher(candidates[10], drawn="path", outcome="not run", reason="no data"))
    assert {candidate.record.id for candidate in one.for_paths()} == {"08", "11"}, "the next one"
    append(one.path, voucher(candidates[8], drawn="path"))
    append(one.path, voucher(candidates[11], drawn="path", outcome="undecided"))
    assert list(one.for_paths()) == []
    candidates[11].record.environment["processor_type"] = "a family"
    assert [candidate.record.id for candidate in one.for_paths()] == ["11"]
    append(one.path, voucher(candidates[11], drawn="path", outcome="rounding"))
    assert list(one.for_paths()) == []


def test_of_a_path_a_record_of_this_type_of_processor_comes_first(candidates: list[Candidate], tmp_path: Path) -> None:
    candidates[3].record.environment["processor_type"] = "a family"
    one = folder(tmp_path / "one")
    assert {candidate.record.id for candidate in one.for_paths()} == {"10", "03"}, "it is not the cheapest"
    append(one.path, voucher(candidates[3], drawn="path", outcome="not run", reason="no data"))
    assert {candidate.record.id for candidate in one.for_paths()} == {"10", "11"}


def test_a_cell_begins_while_there_is_time(candidates: list[Candidate]) -> None:
    time = Time(120.0)
    assert [one.record.id for one in time.take(iter(candidates), most=61.0)] == ["00", "01"]
    assert [one.record.id for one in time.take(iter(candidates[2:]))] == ["02"], "1 s was left"
    assert list(time.take(iter(candidates))) == []
    assert len(list(Time(None).take(iter(candidates)))) == 12
