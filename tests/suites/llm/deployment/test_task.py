"""Models that a fresh process opens: the same loss, what they take, and those that no folder brings back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.counting import stored_bytes
from sparsebench.reports.panels.deployment import PANEL
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import tiny, tiny_mixture
from sparsebench.suites.llm.deployment.measurement import load
from sparsebench.suites.llm.deployment.reloading import reload
from sparsebench.suites.llm.deployment.task import DIFFERENCE, DISK, DeploymentTask
from sparsebench.suites.llm.markov import markov_documents
from sparsebench.suites.methods.dense import Dense
from sparsebench.suites.methods.moe_shared import SharedSplit
from sparsebench.suites.methods.quantise import Quantise

CONTEXT = Context(suite="llm", task="t", seed=0, budget=Budget(batch_size=2, test_examples=2, calibration_examples=2))


class Synthetic(DeploymentTask):
    calibration_domains = ("forwards",)

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        return markov_documents(part)


CELLS = [
    ([Dense()], torch.bfloat16),
    ([SharedSplit(train="none")], torch.float32),
    ([SharedSplit(train="none"), Quantise(method="rtn", train="none")], torch.float32),
]


@pytest.mark.parametrize(("row", "dtype"), CELLS, ids=["dense", "mixture", "packed"])
def test_a_fresh_process_reads_what_this_one_reads(row: list[Any], dtype: torch.dtype) -> None:
    outcome = Synthetic().run(row, tiny.load, replace(CONTEXT, dtype=dtype))
    assert outcome.metrics[DIFFERENCE].value <= 1e-6
    deployed = PANEL.parse(outcome.details["deployment"])
    assert outcome.costs is not None
    assert deployed.stored_bytes == outcome.costs.bytes
    # The files hold the weights, and a configuration of some kB.
    assert deployed.stored_bytes <= outcome.metrics[DISK].value <= deployed.stored_bytes + 20_000
    assert deployed.disk_bytes == outcome.metrics[DISK].value
    assert set(deployed.prefill) == set(deployed.decode) == {32, 128, 512}


def test_a_stock_mixture_that_lost_a_block() -> None:
    class WithoutABlock(Dense):
        def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
            describe(backbone).remove([1])
            return backbone

    cut = Synthetic().run([WithoutABlock()], tiny_mixture.load, CONTEXT)
    assert cut.metrics[DIFFERENCE].value <= 1e-6
    whole = tiny_mixture.load(torch.Generator().manual_seed(0)).model
    assert cut.metrics[DISK].value < 0.8 * stored_bytes(whole)


def test_a_folder_that_holds_other_weights_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny.load(torch.Generator().manual_seed(0))
    row = list(range(5, 45))
    seen, disk = reload(lm.model, [row], [32], 2, "cpu")
    weights = sum(parameter.numel() * 4 for parameter in lm.model.parameters())
    assert disk >= weights
    assert seen.resident_bytes is None or seen.resident_bytes > 0
    kind: Any = type(lm.model)
    save = kind.save_pretrained

    def other(model: Any, folder: Any) -> None:
        with torch.no_grad():
            model.get_input_embeddings().weight.add_(1)
        save(model, folder)

    monkeypatch.setattr(kind, "save_pretrained", other)
    assert reload(lm.model, [row], [32], 2, "cpu")[0].nats != seen.nats


def test_what_cannot_be_saved_or_opened_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny.load(torch.Generator().manual_seed(0))

    def empty(model: Any, folder: Any) -> None:
        (Path(folder) / "config.json").write_text("{}")

    with monkeypatch.context() as patch:
        patch.setattr(type(lm.model), "save_pretrained", empty)
        with pytest.raises(RuntimeError, match="fresh process could not use the saved model"):
            reload(lm.model, [[5] * 40], [32], 2, "cpu")
    attach(lm.model, LoRAConfig(r=2))
    with pytest.raises(NotApplicable, match="adapters on the model"):
        reload(lm.model, [[5] * 40], [32], 2, "cpu")


def test_a_file_without_one_of_the_tensors_is_refused(tmp_path: Path) -> None:
    lm = tiny.load(torch.Generator().manual_seed(0))
    model: Any = lm.model
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    del weights["model.norm.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match=r"missing_keys.*model\.norm\.weight"):
        load(str(tmp_path))
