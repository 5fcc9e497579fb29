"""What a fresh process reads of a folder, and models that no folder brings back."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.deployment.reloading import reload


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
