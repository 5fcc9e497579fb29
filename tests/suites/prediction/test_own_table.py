"""Tables of the user's as tasks: what they are they say themselves; their content is in the key of a cell."""

from pathlib import Path

import pytest

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import hashed_words
from sparsebench.suites.llm.tasks.own_labelled_text import OwnLabelledText
from sparsebench.suites.methods.baselines.constant import Constant
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan
from sparsebench.suites.runner.planning.rows import Row, TaskRow, chain_of

VARIABLE = "SPARSEBENCH_OWN_LABELLED_TEXT"


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty texts of two classes that one word tells apart."""
    file = tmp_path / "texts" / "mine.csv"
    file.parent.mkdir()
    lines = [
        f"{'good' if number % 2 else 'bad'} thing {number},{'yes' if number % 2 else 'no'}" for number in range(40)
    ]
    file.write_text("text,label\n" + "\n".join(lines) + "\n,yes\n")
    monkeypatch.setenv(VARIABLE, str(file.parent))
    return file


def test_options_and_rows_are_chosen_on_validation_examples_that_are_kept(texts: Path) -> None:
    context = Context(suite="llm", task="own_labelled_text", seed=0, budget=Budget(epochs=1, batch_size=8))
    probe = OwnLabelledText().run([LinearProbe(penalties=(0.01, 0.1))], hashed_words.load, context)
    assert probe.metrics["accuracy"].value == 1.0 and probe.metrics["accuracy"].n == 8
    assert probe.details["validation"] == {"correct": [1] * 8}
    assert probe.details["own data"] == {"train": 24, "val": 8, "test": 8, "rejected": 1, "conflicting": 0}
    assert len(probe.details["choice"]["trials"]) == 2
    guess = OwnLabelledText().run([Constant()], hashed_words.load, context)
    assert guess.metrics["accuracy"].value == 0.5


def test_the_last_training_alone_gives_the_same_score(texts: Path) -> None:
    context = Context(suite="llm", task="own_labelled_text", seed=0, budget=Budget(epochs=1, batch_size=8))
    whole = OwnLabelledText().run([LinearProbe(penalties=(0.1,))], hashed_words.load, context)
    again, subject = OwnLabelledText().train_chosen([LinearProbe(penalties=(0.1,))], hashed_words.load, context)
    assert again.metrics["accuracy"] == whole.metrics["accuracy"]
    assert len(subject.data.train) == 32, "trained on both parts"


def test_fewer_test_examples_are_a_sample_of_a_table_that_is_sorted_by_class(texts: Path) -> None:
    """The first ones would be of one class: the constant guess would be right of all or of none of them."""
    header, *lines = texts.read_text().splitlines()
    texts.write_text("\n".join([header, *sorted(lines, key=lambda line: line.rpartition(",")[2])]) + "\n")
    assert OwnLabelledText().load().test.targets.tolist() == [0] * 4 + [1] * 4
    budget = Budget(epochs=1, batch_size=8, test_examples=4)
    context = Context(suite="llm", task="own_labelled_text", seed=0, budget=budget)
    guess = OwnLabelledText().run([Constant()], hashed_words.load, context)
    assert guess.metrics["accuracy"].n == 4 and 0 < guess.metrics["accuracy"].value < 1
    assert guess.details["validation"]["correct"].count(1) == 4, "the validation part is whole"


def test_a_changed_value_is_another_cell(texts: Path) -> None:
    plan = SuitePlan("llm", (Row(chain_of("linear_probe")),), (TaskRow("own_labelled_text"),), ("hashed_words",))
    (first,) = expand(Profile("own", (plan,)))
    texts.write_text(texts.read_text().replace("good thing 1,", "great thing 1,"))
    (second,) = expand(Profile("own", (plan,)))
    assert first.code == second.code and first.key != second.key


def test_without_a_table_it_is_not_applicable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    task = OwnLabelledText()
    task.check_data()
    task.load_shared()
    assert task.part_metrics == ("accuracy", "rmse", "roc_auc")
    with pytest.raises(NotApplicable, match=f"set {VARIABLE}"):
        task.load()
