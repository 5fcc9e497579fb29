"""Pruned and switched-off sets come back with their model; all kinds of models are in `hub/test_saved_kinds.py`."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from sparsebench.models import load, save
from sparsebench.models.adapters import LoRAConfig, adapter_sets, attach, sparsify


def test_a_pruned_set_that_is_off_comes_back_so(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    model = build("llama")
    adapters = attach(model, LoRAConfig(r=4, init="normal"), "mine")
    sparsify(adapters, method="magnitude", sparsity=0.75)
    adapters.disable()
    save(model, tmp_path / "model")
    again = adapter_sets(load(tmp_path / "model"))["mine"]
    assert again.config == adapters.config and again.count() == adapters.count()
    assert not any(layer.enabled for _, layer in again.layers())
    expected = adapters.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.state_dict().items())
    again.remove()
    assert all(value.requires_grad for value in again.model.parameters())
