"""`prepare` makes what tasks derive from their sources, before a cell waits for it."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sparsebench.data.errors import DataError
from sparsebench.suites.llm.tasks.instruction_tuning import InstructionTuning
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import SyntheticInstructions
from sparsebench.suites.runner import prepare
from sparsebench.suites.runner.discovery import loading
from sparsebench.suites.runner.discovery.loading import backbone_loader, load_task
from sparsebench.suites.runner.discovery.registry import entries, find
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.prepare import (
    ChecksData,
    DerivesData,
    check_backbones,
    check_data,
    derive_data,
    refuse_without_own_data,
)

from .cells import INFO

PROFILE = """
llm:
  seeds: 1
  backbones: [tiny]
  methods: [dense]
  tasks: [synthetic, synthetic_domains]
"""


def cell(task: str, reason: str | None = None) -> Cell:
    info = dataclasses.replace(INFO, suite="llm", task=task)
    return Cell(info, task, "code", "cpu", 1.0, (), reason)


def test_each_task_that_derives_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Deriving:
        def __init__(self, name: str) -> None:
            self.name = name

        def derive_data(self) -> None:
            asked.append(self.name)

    def load(entry: Any) -> Any:
        return Deriving(entry.name) if entry.name.startswith("synthetic_") else object()

    monkeypatch.setattr(prepare, "load_task", load)
    said: list[str] = []
    cells = [cell("synthetic_domains"), cell("synthetic_domains"), cell("synthetic"), cell("synthetic_choices", "n/a")]
    derive_data(cells, said.append)
    assert asked == ["synthetic_domains"]
    assert [line.partition(":")[0] for line in said] == ["llm/synthetic_domains", "llm/synthetic_domains"]


@pytest.mark.parametrize("name", ["pretraining_domains", "instruction_tuning", "synthetic_domains"])
def test_the_tasks_that_train_on_text_derive_it(name: str) -> None:
    assert isinstance(load_task(find("task", name, "llm")), DerivesData)
    assert not isinstance(load_task(find("task", "bpb_domains", "llm")), DerivesData)


def test_every_part_of_every_domain_and_group_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    documents = SyntheticDomains.documents
    monkeypatch.setattr(
        SyntheticDomains, "documents", lambda self, *which: read.append(which) or documents(self, *which)
    )
    SyntheticDomains().derive_data()
    assert read == [(domain, part) for domain in ("forwards", "backwards") for part in ("train", "val")]
    read.clear()
    monkeypatch.setattr(InstructionTuning, "conversations", lambda self, *which: read.append(which) or ["one"])
    InstructionTuning().derive_data()
    assert read == [(group, part) for group in InstructionTuning.groups for part in ("train", "val", "test")]


def test_an_empty_part_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SyntheticDomains, "documents", lambda self, domain, part: ())
    with pytest.raises(DataError, match="the text of 'forwards' has nothing in its part 'train'"):
        SyntheticDomains().derive_data()
    monkeypatch.setattr(SyntheticInstructions, "conversations", lambda self, group, part: ())
    with pytest.raises(ValueError, match="has no conversation in its part 'train'"):
        SyntheticInstructions().derive_data()


def test_the_command_says_what_it_derives(bench: Any) -> None:
    profile: Path = bench.folder / "text.yaml"
    profile.write_text(PROFILE)
    done = bench.call("prepare", "--profile", str(profile))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [
        "llm/synthetic_domains: making and verifying what is derived from its sources; minutes the first time",
        "llm/synthetic_domains: ready",
    ]


def test_what_a_task_raises_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any) -> None:
        raise DataError("the disk is full")

    monkeypatch.setattr(SyntheticDomains, "derive_data", broken)
    with pytest.raises(DataError, match="the disk is full"):
        derive_data([cell("synthetic_domains")], lambda line: None)


def test_tasks_that_say_so_check_their_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Checking:
        def __init__(self, name: str) -> None:
            self.name = name

        def check_data(self) -> None:
            asked.append(self.name)
            if self.name == "own_images":
                raise DataError("a.jpg is no readable image")

    monkeypatch.setattr(prepare, "load_task", lambda entry: Checking(entry.name))
    said: list[str] = []
    names = ("synthetic", "vtab1k_kitti", "vtab1k_published_kitti", "vtab1k_kitti")
    cells = [dataclasses.replace(cell(name), info=dataclasses.replace(INFO, suite="vtab", task=name)) for name in names]
    check_data(cells, said.append)
    assert asked == ["vtab1k_kitti", "vtab1k_published_kitti"], "each once, and none that has nothing to check"
    assert said[0] == "vtab/vtab1k_kitti: checking its folder"
    own = dataclasses.replace(cells[0], info=dataclasses.replace(INFO, suite="vtab", task="own_images"))
    with pytest.raises(DataError, match=r"a\.jpg is no readable image"):
        check_data([own], said.append)
    check_data([dataclasses.replace(own, reason="n/a")], said.append)


def test_every_task_with_a_check_says_so() -> None:
    """The constant is read without importing: a task that has the method, but not the constant, is never asked."""
    for suite in ("vtab", "llm", "molecules"):
        for entry in entries("task", suite).values():
            assert entry.constant(prepare.CHECKS, False) == isinstance(load_task(entry), ChecksData), entry.name


def pair(task: str, teacher: str, backbone: str = "tiny", method: str = "idat") -> Any:
    """A cell of the language suite with a teacher."""
    info = dataclasses.replace(
        INFO,
        suite="llm",
        task=task,
        method=method,
        config={"teacher": teacher} if method == "idat" else {},
        backbone=backbone,
        further_backbones=[teacher],
    )
    return dataclasses.replace(cell(task), info=info)


def test_methods_that_say_so_look_at_their_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair once, on tasks that keep the heads, of cells that can run; what cannot be loaded is named."""
    loads = []

    def load(name: str) -> Any:
        def made(generator: torch.Generator) -> Any:
            loads.append(name)
            if name == "small_mixture":
                raise OSError("no such weights")
            return backbone_loader(find("backbone", "tiny", "llm"), "tiny")(generator)

        return made

    monkeypatch.setattr(loading, "backbone_loader", lambda entry, name: load(name))
    said: list[str] = []
    cells = [
        pair("synthetic_mixture", "small_llama"),
        pair("synthetic_choices", "small_llama"),
        pair("synthetic_texts", "tiny_encoder", "tiny_encoder"),
        pair("synthetic_mixture", "small_mixture"),
        pair("synthetic_mixture", "tiny_mixture", method="merge_experts"),
        dataclasses.replace(pair("synthetic_mixture", "tiny_mixture"), reason="n/a"),
    ]
    check_backbones(cells, said.append)
    assert loads == ["tiny", "small_llama", "tiny", "small_mixture"]
    assert said == [
        "llm: checking whether tiny goes with small_llama",
        "llm: checking whether tiny goes with small_mixture",
        "llm: small_mixture cannot be loaded, so nobody knows: OSError: no such weights",
    ]


def test_a_pair_of_two_vocabularies_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(entry: Any, name: str) -> Any:
        loaded = backbone_loader(find("backbone", "tiny", "llm"), "tiny")
        if name == "tiny":
            return loaded
        tokenizer = SimpleNamespace(get_vocab=lambda: {"a": 0, "b": 1})
        return lambda generator: dataclasses.replace(loaded(generator), tokenizer=tokenizer)

    monkeypatch.setattr(loading, "backbone_loader", load)
    words = "on tiny with small_llama seed 0: the vocabulary of the teacher small_llama has 2 tokens instead of 257"
    with pytest.raises(UsageError, match=words):
        check_backbones([pair("synthetic_mixture", "small_llama")], lambda line: None)


def test_nothing_runs_without_a_folder_that_all_of_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Audit: four times the same "n/a", after the imports, and exit code 0."""
    monkeypatch.delenv("SPARSEBENCH_OWN_IMAGES", raising=False)
    needs = dataclasses.replace(cell("synthetic"), sources=("sotu", "own-images"))
    with pytest.raises(UsageError, match="set SPARSEBENCH_OWN_IMAGES to it; expected"):
        refuse_without_own_data([needs, needs, cell("synthetic", "n/a")])
    refuse_without_own_data([needs, cell("synthetic")])
    refuse_without_own_data([])
    monkeypatch.setenv("SPARSEBENCH_OWN_IMAGES", str(tmp_path))
    refuse_without_own_data([needs])


def test_a_file_that_a_task_names_must_be_there(tmp_path: Path) -> None:
    needs = dataclasses.replace(cell("synthetic"), sources=(f"file:{tmp_path}/mine.csv",))
    with pytest.raises(DataError, match=r"there is no .*mine\.csv"):
        refuse_without_own_data([needs, cell("synthetic")])
    (tmp_path / "mine.csv").write_text("1")
    refuse_without_own_data([needs])
