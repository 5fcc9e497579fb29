"""A user's molecules: what a generator trains on, and what it is compared with."""

from pathlib import Path

import pytest

from sparsebench.data.errors import TableError
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.molecules.backbones import char_rnn
from sparsebench.suites.molecules.tasks.own_generation_trained import OwnGenerationTrained

CHAINS = ["C" * length + end for length in range(1, 16) for end in ("O", "N", "c1ccccc1")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARSEBENCH_OWN_MOLECULES", str(tmp_path))
    (tmp_path / "mine.smi").write_text("\n".join([*CHAINS, "nonsense"]) + "\n")
    return tmp_path


def test_a_folder_is_checked_before_anything_trains(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = OwnGenerationTrained()
    task.check_data()
    assert len(task.training_set()) == 36 and task.missing() is None
    (folder / "mine.smi").write_text("C\n")
    with pytest.raises(TableError, match="are 1 to train on and 0 to compare with"):
        task.check_data()
    monkeypatch.delenv("SPARSEBENCH_OWN_MOLECULES")
    task.check_data()
    with pytest.raises(NotApplicable, match="set SPARSEBENCH_OWN_MOLECULES"):
        task.training_set()


@pytest.mark.data
@pytest.mark.usefixtures("folder")
def test_what_is_drawn_is_compared_with_the_user_s_own() -> None:
    budget = Budget(steps=2, batch_size=16, test_examples=12, calibration_examples=4)
    context = Context(suite="molecules", task="own_generation_trained", seed=0, budget=budget)
    outcome = OwnGenerationTrained().run([FullTuning(learning_rate=1e-3)], char_rnn.load, context)
    assert outcome.main_metric == "FCD/Test" and outcome.metrics["FCD/Test"].value > 0
    assert outcome.details["own data"] == {"train": 36, "test": 9, "rejected": 1}
    assert outcome.metrics["copies"].value == 0 and outcome.metrics["Novelty"].value == 1
