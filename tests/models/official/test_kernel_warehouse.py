"""A checkpoint of KernelWarehouse is named for what it is and refused with the reason."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.official import import_official


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_it_is_recognised_and_refused(tmp_path: Path, wrapper: str) -> None:
    """With names and shapes as of its ResNet-18, beside the options that its training program saves."""
    shapes = {
        "conv1.weight": (64, 3, 7, 7),
        "warehouse_manager.weights.0": (36, 64, 64, 1, 1),
        "layer1.0.conv1.attention.fc1.weight": (16, 64),
        "layer1.0.conv1.attention.norm1.weight": (16,),
        "layer1.0.conv1.attention.fc2.weight": (333, 16),
    }
    state = {f"{wrapper}{name}": torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    torch.save({"model": state, "epoch": 299, "args": Namespace(model="kw_resnet18")}, tmp_path / "kw1x_resnet18.pth")
    with pytest.raises(ModelError, match="is a KernelWarehouse of the official code, whose layers are others than"):
        import_official(tmp_path / "kw1x_resnet18.pth", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
