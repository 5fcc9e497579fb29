"""From a run that keeps checkpoints to a stock folder: nothing is trained again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from sparsebench.models import load
from sparsebench.models.moe import export
from sparsebench.reports.records.record import Link
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.execute import CHECKPOINTS, execute
from sparsebench.suites.runner.planning.expansion import cells_of
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan
from sparsebench.suites.runner.planning.rows import Row, TaskRow
from sparsebench.suites.runner.verification.take_out import take_out
from sparsebench.suites.training.step import Stepper

pytestmark = pytest.mark.timeout(900)
MIXTURE = Link(method="llama_moe_v2", config={"num_shared": 3, "train": "none"})
TRAINING = Link(method="continual_pretraining", config={"learning_rate": 0.01, "accumulation": 2, "repeat": True})


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A result folder and the record in it, of a mixture of half of the neurons that trained in bfloat16."""
    folder = tmp_path_factory.mktemp("results")
    plan = SuitePlan(
        suite="llm",
        methods=(Row((MIXTURE, TRAINING), label="healed"),),
        tasks=(TaskRow("synthetic_domains"),),
        backbones=("tiny",),
        seeds=1,
        dtype="bfloat16",
        checkpoints="keep",
        budget={"tokens": 1024, "batch_size": 2, "test_examples": 2, "calibration_examples": 4},
    )
    (cell,) = cells_of(Profile("mine", (plan,)))
    ended = execute(cell, Store(folder).create().folder)
    record = Store(folder).read(ended.id)
    assert record.status == "ok", record.reason
    return folder, record.id


def test_the_trained_model_goes_out_as_a_stock_folder(
    ran: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, record = ran

    def trains(*_: Any) -> None:
        raise AssertionError("a step was taken")

    monkeypatch.setattr(Stepper, "step", trains)
    said: list[str] = []
    take_out(folder, record, tmp_path / "healed", said.append)
    main = Store(folder).read(record)
    value = main.metrics[str(main.main_metric)].value
    assert said == [f"bits_per_byte {value:.6g}; the record has {value:.6g}"]
    (checkpoint,) = (folder / CHECKPOINTS / record).rglob("models.pt")
    trained = torch.load(checkpoint, weights_only=True)["models"]["model"]["state"]
    model = load(tmp_path / "healed")
    assert all(torch.equal(tensor, trained[name]) for name, tensor in model.state_dict().items())

    assert export(model, tmp_path / "stock", engine="llama.cpp") == "GraniteMoeSharedForCausalLM"
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "stock")
    ids = torch.arange(64)[None]
    with torch.no_grad():
        assert (stock(ids).logits - model(ids).logits).abs().max() < 1e-5  # logits below 10, float32


def test_what_has_nothing_to_take_out_is_refused(ran: tuple[Path, str], tmp_path: Path) -> None:
    folder, record = ran
    store = Store(tmp_path / "other").create()
    store.write(Store(folder).read(record))
    with pytest.raises(UsageError, match="checkpoints=keep"):
        take_out(store.folder, record, tmp_path / "out")
    kept = Store(folder).read(record)
    name = str(kept.main_metric)
    worse = replace(kept.metrics[name], value=1.01 * kept.metrics[name].value)
    store = Store(tmp_path / "changed").create()
    store.write(replace(kept, metrics={**kept.metrics, name: worse}))
    (store.folder / CHECKPOINTS).symlink_to(folder / CHECKPOINTS)
    with pytest.raises(UsageError, match="nothing was written"):
        take_out(store.folder, record, tmp_path / "out")
    assert not (tmp_path / "out").exists()
