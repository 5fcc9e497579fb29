"""Folders that timm's savers write of changed networks: they open here, and timm refuses them, whatever it is asked."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models._hub import generate_readme
from torch import nn

from sparsebench.models import load
from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.dynamic import ConvConfig, MixtureConfig, WarehouseConfig, compact, make_dynamic, partition
from sparsebench.models.errors import ModelError
from sparsebench.models.hub.timm_folders import timm_card
from sparsebench.models.moe import MoEConfig, convert

SIZES: dict[str, Any] = {"img_size": 32, "num_heads": (2, 2), "embed_dim": 16, "depths": (1, 1), "num_classes": 3}
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def swin(top_k: int = 1) -> Any:
    """With tables that no state dict has."""
    model = timm.create_model("swin_tiny_patch4_window7_224", window_size=4, **SIZES)
    return make_dynamic(model, MixtureConfig(num_kernels=3, top_k=top_k, noise=0.5)).eval()


def mixture() -> Any:
    sizes = SIZES | {"depth": 1, "num_heads": 2}
    del sizes["depths"]
    return convert(timm.create_model("vit_tiny_patch16_224", **sizes), MoEConfig(num_experts=4)).eval()


def deployed(model: Any) -> Any:
    partition(model, 0.3, criterion="random", generator=torch.Generator().manual_seed(1))
    compact(model)
    return model


def convolutions(config: Any) -> Any:
    modules = "layer1" if isinstance(config, ConvConfig) else None
    return make_dynamic(timm.create_model("test_resnet", num_classes=3), config, modules=modules).eval()


NETS: dict[str, Callable[[], Any]] = {
    "mixture": mixture,
    "swin": swin,
    "compact swin": lambda: deployed(swin()),
    "warehouse": partial(convolutions, WarehouseConfig(budget=0.5)),
    "compact convolutions": lambda: deployed(convolutions(ConvConfig(kind="od_conv", noise=0.5))),
}


def written(model: nn.Module, folder: Path, **options: Any) -> Path:
    timm.models.save_for_hf(model, str(folder), **options)
    return folder


@pytest.mark.parametrize("name", NETS)
def test_they_open_here_and_not_in_timm(name: str, tmp_path: Path) -> None:
    model = NETS[name]()
    folder = written(model, tmp_path / "net", safe_serialization="both" if name != "warehouse" else False)
    again = load(folder)
    assert type(again) is type(model) and not again.training
    assert torch.equal(again(IMAGES), model(IMAGES))
    asked: list[dict[str, Any]] = [{}, {"pretrained": True}, {"pretrained": True, "num_classes": 5}]
    for options in asked:
        with pytest.raises(
            RuntimeError, match=r"Unknown model \(.* which opens it: sparsebench.models.load\(folder\)\)"
        ):
            timm.create_model(f"local-dir:{folder}", **options)


def test_folders_that_are_not_whole_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = written(deployed(swin()), tmp_path / "net", safe_serialization=True)
    config, weights = folder / "config.json", folder / "model.safetensors"
    fields, tensors = json.loads(config.read_text()), load_file(weights)

    def refused(words: str) -> None:
        with pytest.raises(ModelError, match=words) as error:
            load(folder)
        assert "\n" not in str(error.value)

    save_file({name: value for name, value in tensors.items() if "router" not in name}, weights)
    refused("does not fit its configuration: .* Missing key")
    weights.write_bytes(weights.read_bytes()[:-100])
    refused("is damaged or cut short")
    weights.unlink()
    refused("has no model.safetensors or pytorch_model.bin: it is not whole")
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    refused("pytorch_model.bin is damaged or cut short")
    fields["pretrained_cfg"]["sparsebench"]["class"] = "no_such_network"
    config.write_text(json.dumps(fields))
    refused("the installed timm does not make the no_such_network of")


def test_what_timm_s_files_cannot_say_is_refused(tmp_path: Path) -> None:
    model = swin()
    attach(model, LoRAConfig(r=2))
    with pytest.raises(ModelError, match="it was saved with adapters on it: take them off"):
        load(written(model, tmp_path / "net"))
    with pytest.raises(
        ModelError, match="timm's files cannot say what this SparsebenchSwinTransformer is: adapters on it"
    ):
        timm_card(model)
    with pytest.raises(ModelError, match="this Linear is no network of timm, by its name, that was changed here"):
        timm_card(nn.Linear(2, 2))


def test_the_card_that_timm_writes() -> None:
    text = generate_readme(timm_card(deployed(swin())), "net")
    assert (
        "A swin_tiny_patch4_window7_224 of timm with dynamic layers by MixtureConfig(num_kernels=3, noise=0.5" in text
    )
    assert "4 in compact form." in text and "library_name: sparsebench" in text
    assert "from sparsebench.models import load" in text and "pip install sparsebench" in text
