"""What the fresh process does, in this one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.deployment.measurement import Request, load, measure, window_nats


def saved(folder: Path) -> nn.Module:
    model: Any = tiny.load(torch.Generator().manual_seed(0)).model
    model.save_pretrained(folder)
    return model


def test_the_nats_of_a_window_are_those_of_its_tokens_after_the_first(tmp_path: Path) -> None:
    model: Any = saved(tmp_path)
    row = list(range(5, 55))
    seen = measure(Request(str(tmp_path), [row, row[::-1]], [8, 16], 3, torch.get_num_threads(), "cpu"))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row])).logits[0].double().log_softmax(-1)
        wanted = -sum(float(logits[place, token]) for place, token in enumerate(row[1:]))
        assert window_nats(model, torch.tensor(row)) == pytest.approx(wanted, rel=1e-5)
    assert seen.nats[0] == pytest.approx(wanted, rel=1e-5) and seen.nats[1] != seen.nats[0]
    assert seen.prefill.keys() == seen.decode.keys() == {8, 16}
    assert min(*seen.prefill.values(), *seen.decode.values()) > 0


def test_a_file_without_one_of_the_tensors_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    del weights["model.norm.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match=r"missing_keys.*model\.norm\.weight"):
        load(str(tmp_path))
