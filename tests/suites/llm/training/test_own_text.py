"""A folder of the user's own text, from the plan to the record, and what is said where it does not do."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.data.errors import LocalFolderError, TextFileError
from sparsebench.data.identity import identity
from sparsebench.data.manifest import fingerprint
from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.methods.continual_pretraining import ContinualPretraining
from sparsebench.suites.llm.tasks.own_text import OwnText
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.runner.execution.execute import execute
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.planning.expansion import cells_of
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan
from sparsebench.suites.runner.planning.rows import Row, TaskRow, chain_of

VARIABLE = "SPARSEBENCH_OWN_TEXT"


def surroundings(**changes: Any) -> Context:
    budget = Budget(**{"tokens": 4096, "batch_size": 4, "test_examples": 1, "calibration_examples": 4, **changes})
    return Context(suite="llm", task="own_text", seed=0, budget=budget)


def lines(domain: str, count: int) -> str:
    texts = [f"The {domain} of day {number} say {number * number} things to all who read." for number in range(count)]
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two domains of a few hundred documents of 60 bytes, each in two files."""
    root = tmp_path / "texts"
    for domain, count in (("news", 300), ("recipes", 400)):
        (root / domain).mkdir(parents=True)
        text = lines(domain, count).splitlines(keepends=True)
        (root / domain / "a.jsonl").write_text("".join(text[: count // 2]))
        (root / domain / "b.jsonl").write_text("".join(text[count // 2 :]))
    monkeypatch.setenv(VARIABLE, str(root))
    return root


def test_domains_are_the_folders_and_weigh_the_same(folder: Path) -> None:
    data = OwnText().setup(tiny.load, surroundings()).data
    assert data.groups == ("news", "recipes") == OwnText().domains
    counts = [len(data.only([domain]).train) for domain in data.groups]
    assert counts[0] == counts[1] > 10
    for part, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert not set(OwnText().documents("news", part)) & set(OwnText().documents("news", other))


def test_training_on_it_makes_its_own_text_likelier(folder: Path) -> None:
    before = OwnText().run([Dense()], tiny.load, surroundings())
    after = OwnText().run([ContinualPretraining(learning_rate=0.01)], tiny.load, surroundings(tokens=10_240))
    for name in ("bits_per_byte", "bits_per_byte news", "bits_per_byte recipes", "val bits_per_byte"):
        assert after.metrics[name].value < before.metrics[name].value - 1
    about = after.details["own text"]
    assert {domain: one["files"] for domain, one in about.items()} == {"news": 2, "recipes": 2}
    assert about["news"]["windows"] == about["recipes"]["windows"] > 10


def cell() -> Cell:
    """The cell that a plan of today has."""
    plan = SuitePlan(
        suite="llm",
        methods=(Row(chain_of("continual_pretraining")),),
        tasks=(TaskRow("own_text"),),
        backbones=("tiny",),
        seeds=1,
        budget={"tokens": 4096, "batch_size": 4, "test_examples": 1, "calibration_examples": 4},
    )
    (found,) = cells_of(Profile("mine", (plan,)))
    return found


def record_of(cell: Cell, place: Path) -> Record:
    return Store(place).read(execute(cell, Store(place).create().folder).id)


def test_the_record_names_the_files_and_another_text_is_another_cell(folder: Path, tmp_path: Path) -> None:
    planned = cell()
    record = record_of(planned, tmp_path / "out")
    assert record.status == "ok", record.reason
    (data,) = [one for one in record.data if one.source == "own-text"]
    assert {file.path for file in data.files} == {f"{d}/{f}.jsonl" for d in ("news", "recipes") for f in "ab"}
    for file in data.files:
        assert file.sha256 == hashlib.sha256((folder / file.path).read_bytes()).hexdigest()
    assert data.sha256 == identity("own-text") != fingerprint("own-text")
    assert cell().id == planned.id
    with (folder / "news" / "a.jsonl").open("a") as stream:
        stream.write(lines("weather", 1))
    assert cell().key != planned.key


def test_without_the_folder_it_is_not_applicable_and_with_it_is_another_cell(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = cell()
    monkeypatch.delenv(VARIABLE)
    planned = cell()
    assert planned.key != given.key, "what is n/a today runs as soon as there is a folder"
    record = record_of(planned, tmp_path / "out")
    assert record.status == "n/a" and record.reason is not None
    assert record.reason.startswith(f"there is no text of yours: set {VARIABLE} to its folder; expected: in it")


def test_no_folder() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        with pytest.raises(NotApplicable, match=f"set {VARIABLE} to its folder"):
            OwnText().setup(never_loaded, surroundings())
        patch.setenv(VARIABLE, "/nowhere/at/all")
        with pytest.raises(LocalFolderError, match="'/nowhere/at/all' is no folder"):
            OwnText().setup(never_loaded, surroundings())


def never_loaded(generator: torch.Generator) -> Any:
    raise AssertionError("the model was loaded before the text was looked at")


def test_an_empty_domain(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(TextFileError, match="domain 'empty' has no file"):
        OwnText().setup(never_loaded, surroundings())
    (folder / "empty" / "a.txt").write_text("\n \n")
    with pytest.raises(TextFileError, match="domain 'empty' has no text in its part 'train'"):
        OwnText().setup(never_loaded, surroundings())


def test_a_domain_too_small_for_one_window(folder: Path) -> None:
    (folder / "small").mkdir()
    (folder / "small" / "a.jsonl").write_text(lines("small", 40))
    with pytest.raises(ValueError, match=r"the text of 'small' has [0-9]+ tokens, too few for one window of 512"):
        OwnText().setup(tiny.load, surroundings())


def test_too_little_to_score(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"'test' of 'news' has \d windows .* scores 50: .* budget.test_examples=\d"):
        OwnText().setup(tiny.load, surroundings(test_examples=50))


def test_text_that_runs_dry(folder: Path) -> None:
    """Before anything trains, unless it is to come again."""
    context = surroundings(tokens=10**6)
    with pytest.raises(ValueError, match=r"training data end after [0-9]+ tokens, before the 1000000 tokens"):
        OwnText().run([ContinualPretraining(learning_rate=0.01)], tiny.load, context)
    there = len(OwnText().setup(tiny.load, surroundings()).data.train) * 512
    again = surroundings(tokens=there + 4096)
    OwnText().run([ContinualPretraining(learning_rate=0.01, repeat=True)], tiny.load, again)


def test_a_tokenizer_of_another_vocabulary(folder: Path) -> None:
    """Tokens are made anew in each process, by the tokenizer of the model: another one is refused."""
    lm = tiny.load(torch.Generator().manual_seed(0))
    model: Any = lm.model
    model.resize_token_embeddings(400)
    with pytest.raises(ValueError, match="the tokenizer has 257 tokens and the model's embedding 400 rows"):
        OwnText().setup(lambda _: lm, surroundings())
