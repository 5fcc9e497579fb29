"""A remembered plan is right or not used: whatever it depends on makes it miss."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Link
from sparsebench.suites.runner.discovery.further_suites import Place
from sparsebench.suites.runner.identity import fingerprint
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.planning import plan_cache
from sparsebench.suites.runner.planning.plan_cache import remembered
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan
from sparsebench.suites.runner.planning.rows import Row, TaskRow, chain_of

from ..cells import INFO

CELL = dataclasses.replace(INFO, config={"rate": 0.1, "sizes": [1, 2]}, budget={"epochs": 1})


class Counted:
    """Stands for the expansion of a profile; counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.info = CELL
        self.sources = ("moses",)

    def __call__(self, profile: Profile) -> list[Cell]:
        self.calls += 1
        return [Cell(info=self.info, key="k", code=str(self.calls), device="cpu", timeout=1.5, sources=self.sources)]


class Around:
    """A folder that stands for our source files, a cache of its own, and an expansion."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.cache = folder / "cache"
        self.expand = Counted()
        self.source = self.home / "models" / "one.py"
        self.source.parent.mkdir(parents=True)
        self.source.write_text("x = 1")

    def plan(self, profile: Profile | None = None) -> str:
        """Plans; the answer is the number of the expansion that the cells come from."""
        (cell,) = remembered(profile or profile_of("tiny"), self.expand)
        return cell.code

    def plan_after(self, input: Path) -> None:
        """A plan is remembered until that input is another one."""
        assert self.plan() == self.plan() == "1"
        input.write_text("[]")
        assert self.plan() == "2"

    def file(self) -> Path:
        (path,) = (self.cache / "plans").glob("*.json")
        return path


def profile_of(backbone: str, **changes) -> Profile:
    plan = SuitePlan(
        suite="llm", methods=(Row(chain_of("dense")),), tasks=(TaskRow("synthetic"),), backbones=(backbone,)
    )
    return Profile("mine", (dataclasses.replace(plan, **changes),))


@pytest.fixture
def around(tmp_path: Path, monkeypatch) -> Around:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    found = Around(tmp_path)
    monkeypatch.setattr(plan_cache, "HOME", found.home)
    monkeypatch.setattr(plan_cache, "_process_start", lambda: time.time() + 60)  # files of a minute ago are settled
    return found


def test_the_second_plan_is_remembered_and_equal(around: Around) -> None:
    first = remembered(profile_of("tiny"), around.expand)
    again = remembered(profile_of("tiny"), around.expand)
    assert first == again and around.expand.calls == 1
    assert first[0].info == CELL and first[0].sources == ("moses",)


def test_a_changed_file_misses_even_if_size_and_time_are_put_back(around: Around) -> None:
    assert around.plan() == around.plan() == "1"
    before = around.source.stat()
    around.source.write_text("x = 2")
    os.utime(around.source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert around.plan() == around.plan() == "2"


def test_files_that_come_go_or_are_touched_miss(around: Around) -> None:
    assert around.plan() == "1"
    new = around.home / "data" / "new.toml"
    new.parent.mkdir()
    new.write_text("")
    assert around.plan() == "2"
    new.unlink()
    assert around.plan() == around.plan() == "3"
    around.source.touch()
    assert around.plan() == "4"


def test_results_are_no_input(around: Around, monkeypatch) -> None:
    results = around.home / "reports" / "results"
    monkeypatch.setattr(plan_cache, "RESULTS", results)
    results.mkdir(parents=True)
    assert around.plan() == "1"
    (results / "plan.json").write_text("{}")
    assert around.plan() == "1"


def test_weights_that_a_backbone_names_are_an_input(around: Around, tmp_path: Path) -> None:
    weights = tmp_path / "model"
    (weights / "deep").mkdir(parents=True)
    (weights / "deep" / "tokenizer.json").write_text("{}")
    around.expand.info = dataclasses.replace(CELL, backbone=f"hf:{weights}")
    around.plan_after(weights / "deep" / "tokenizer.json")


def test_a_folder_of_text_that_a_source_names_is_an_input(around: Around, tmp_path: Path, monkeypatch) -> None:
    text = tmp_path / "texts" / "news" / "a.txt"
    text.parent.mkdir(parents=True)
    text.write_text("one")
    monkeypatch.setenv("SPARSEBENCH_OWN_TEXT", str(tmp_path / "texts"))
    around.expand.sources = ("own-text",)
    around.plan_after(text)


def test_weights_of_a_teacher_are_an_input_though_no_profile_names_them(around: Around, tmp_path: Path) -> None:
    weights = tmp_path / "teacher"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    around.expand.info = dataclasses.replace(
        CELL, further_backbones=[f"hf:{weights}"], then=[Link(method="tune", config={"train": "head"})]
    )
    (cell,) = remembered(profile_of("tiny"), around.expand)
    assert cell.info == around.expand.info
    around.plan_after(weights / "config.json")


def test_the_profile_the_environment_and_versions_are_inputs(around: Around, monkeypatch) -> None:
    assert around.plan() == "1"
    assert around.plan(profile_of("tiny", seeds=5)) == "2"
    assert around.plan() == "1"
    monkeypatch.setenv("SPARSEBENCH_NATIVE", "0")
    assert around.plan() == "3"
    monkeypatch.setattr(fingerprint, "installed", lambda name: "99")
    assert around.plan() == "4"
    monkeypatch.setattr(plan_cache, "device_kind", lambda: "cuda")
    assert around.plan() == "5"
    monkeypatch.setattr(plan_cache, "fast_dtype", lambda device: "float64")
    assert around.plan() == "6"


def test_plugins_are_an_input(around: Around, tmp_path: Path, monkeypatch) -> None:
    assert around.plan() == "1"
    package = tmp_path / "site" / "plugin_for_plans"
    about = tmp_path / "site" / "plugin_for_plans-1.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('this is never run')")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin_for_plans\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[sparsebench.methods]\nmine = plugin_for_plans.mine\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert around.plan() == around.plan() == "2"
    (package / "mine.py").write_text("")
    assert around.plan() == "3"


def test_a_registered_suite_is_an_input(around: Around, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        plan_cache, "further_places", lambda: [Place(tmp_path, "suite_for_plans", ("suite_for_plans",))]
    )
    task = tmp_path / "suite_for_plans" / "task.py"
    task.parent.mkdir()
    (task.parent / "__init__.py").touch()
    task.touch()
    monkeypatch.syspath_prepend(tmp_path)
    around.plan_after(task)


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"shared": 1}', "null", "cut", "changed"])
def test_a_broken_file_is_ignored_and_written_again(around: Around, broken: str) -> None:
    assert around.plan() == "1"
    text = around.file().read_text()
    changed = text.replace('"timeout": 1.5', '"timeout": 9.5')
    assert changed != text
    around.file().write_text({"cut": text[: len(text) // 2], "changed": changed}.get(broken, broken))
    assert around.plan() == around.plan() == "2"


def test_what_changed_after_this_process_began_is_not_relied_on(around: Around, monkeypatch) -> None:
    monkeypatch.setattr(plan_cache, "_process_start", time.time)
    assert [around.plan(), around.plan()] == ["1", "2"]
    assert not (around.cache / "plans").exists()


def test_a_cache_that_cannot_be_written_is_done_without(around: Around) -> None:
    around.cache.write_text("a file, no folder")
    assert [around.plan(), around.plan()] == ["1", "2"]


def test_a_plan_with_nothing_to_do_imports_no_torch(bench, tmp_path: Path) -> None:
    """The real thing, twice: the second plan says the same, and reads no module that needs torch."""
    profile = bench.write_toys("toy_fine")
    code = (
        "import sys\n"
        f"sys.argv = ['sparsebench', 'plan', '--profile', {str(profile)!r}, '--out', {str(bench.out)!r}]\n"
        "from sparsebench.suites.runner.cli.app import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    environment = {**bench.environment, "SPARSEBENCH_CACHE": str(tmp_path / "cache")}
    said = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.splitlines())
    assert said[0][:-1] == said[1][:-1]
    assert [lines[-1] for lines in said] == ["True", "False"]
    (file,) = (tmp_path / "cache" / "plans").glob("*.json")
    _, cells = file.read_text().splitlines()
    assert len(json.loads(cells)) == 1
