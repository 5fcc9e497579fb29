"""ODConv's networks against the official code: names and shapes of every published one, outputs of two."""

import hashlib
import os
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from sparsebench.models import load
from sparsebench.models.dynamic import ConvConfig, anneal, compact, make_dynamic, partition
from sparsebench.models.errors import ModelError
from sparsebench.models.official import from_official, import_official
from sparsebench.models.official.od_conv import UNKNOWN, places

from ..agreement import agree
from ..oracles.oracle import Oracle, difference
from .exact_numbers import state, uniform

ORACLE = Oracle("od_conv.safetensors")
CLOSE = 1e-5
CLASSES = 5
RESNET, MOBILENET = "resnet18_1x", "mobilenetv2_050_2x"


def empty(architecture: str, classes: int, kernels: int, reduction: int = 16) -> nn.Module:
    """A dynamic network without memory."""
    config = ConvConfig(kind="od_conv", shortcuts=False, num_kernels=kernels, reduction=reduction)
    with torch.device("meta"):
        return make_dynamic(timm.create_model(architecture, num_classes=classes), config)


def official(case: str) -> dict[str, Tensor]:
    """The weights that the official network had when its outputs were recorded, under its names."""
    sizes = {RESNET: (1, 16), MOBILENET: (2, 8)}
    model = empty(case.rpartition("_")[0], CLASSES, *sizes[case])
    return state({place.name: place.shape for place in places(model).values()})


def images() -> Tensor:
    return torch.from_numpy(uniform("images", (3, 3, 64, 64))).float()


@pytest.fixture(scope="module")
def mobilenet() -> dict[str, Tensor]:
    return official(MOBILENET)


@pytest.fixture
def file(mobilenet: dict[str, Tensor], tmp_path: Path) -> Path:
    torch.save(mobilenet, tmp_path / "mobilenet.pth")
    return tmp_path / "mobilenet.pth"


@pytest.mark.parametrize("case", ORACLE.about["shapes"])
def test_names_and_shapes_of_every_network(case: str) -> None:
    recorded = ORACLE.about["shapes"][case]
    architecture, _, kernels = case.removeprefix("od_").rpartition("_")
    model = empty(architecture, 1000, int(kernels[0]))
    lines = sorted(f"{place.name} {place.shape}" for place in places(model).values())
    assert len(lines) == recorded["tensors"]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == recorded["sha256"]
    assert sum(parameter.numel() for parameter in model.parameters()) == recorded["parameters"]


@torch.no_grad()
def test_a_resnet_as_its_training_saves_it(tmp_path: Path) -> None:
    """In the wrapper for several devices, beside the optimizer and what else was saved."""
    weights = official(RESNET)
    held = {"epoch": 100, "state_dict": {f"module.{name}": value for name, value in weights.items()}}
    held |= {"acc": torch.tensor(73.0), "best_acc": torch.tensor(73.0), "optimizer": {"state": {}, "param_groups": []}}
    torch.save(held, tmp_path / "odconv1x_resnet18.pth.tar")
    model = from_official(tmp_path / "odconv1x_resnet18.pth.tar")
    agree(model(images()), ORACLE[f"{RESNET}.logits"], "logits", within=CLOSE)


@torch.no_grad()
def test_a_mobilenet_through_a_folder(file: Path, mobilenet: dict[str, Tensor], tmp_path: Path) -> None:
    found = import_official(file, tmp_path / "ours")
    assert (found.layout, found.tensors, found.unknown) == ("od_conv", len(mobilenet), UNKNOWN)
    model = load(tmp_path / "ours")
    agree(model(images()), ORACLE[f"{MOBILENET}.logits"], "logits", within=CLOSE)
    anneal(model, 20.0)
    agree(model(images()), ORACLE[f"{MOBILENET}.logits_at_20"], "logits", within=CLOSE)


@torch.no_grad()
def test_a_trained_dynamic_network_is_partitioned(file: Path) -> None:
    model = from_official(file)
    report = partition(model, 0.3, criterion="magnitude")
    assert report.dynamic_ratio == pytest.approx(0.3, abs=1e-5)
    partitioned = model(images())
    assert partitioned.isfinite().all()
    compact(model)
    agree(model(images()), partitioned, "logits", within=CLOSE)


@torch.no_grad()
def test_a_change_of_any_attention_is_seen(file: Path) -> None:
    model = from_official(file)
    for part in ("inputs.fc", "taps.fc", "kernels", "squeeze", "norm"):
        weight = model.get_parameter(f"blocks.3.1.conv_dw.attention.{part}.weight")
        before = weight.clone()
        weight.mul_(1.5)
        assert difference(model(images()), ORACLE[f"{MOBILENET}.logits"]) > 10 * CLOSE, part
        weight.copy_(before)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features.1.conv.9.weight": torch.zeros(2)}, "1 tensors of .* have no place in the model, features.1.conv.9"),
        ({"features.7.conv.3.bias": None}, "has no tensor features.7.conv.3.bias"),
        ({"features.7.conv.3.bias": torch.zeros(3)}, r"features.7.conv.3.bias has the shape \(3,\); \(32,\) was exp"),
        ({"features.0.0.weight": torch.zeros(40, 3, 3, 3)}, "begins with 40 channels; the official code has mobile"),
        ({"features.2.conv.2.weight": torch.zeros(4, 16, 48, 1, 1)}, r"\(4, 16, 48, 1, 1\); \(2, 16, 48, 1, 1\) was"),
    ],
)
def test_tensors_that_do_not_fit(mobilenet: dict[str, Tensor], tmp_path: Path, changes: dict, words: str) -> None:
    changed = {name: value for name, value in (mobilenet | changes).items() if value is not None}
    torch.save(changed, tmp_path / "changed.pth")
    with pytest.raises(ModelError, match=words):
        import_official(tmp_path / "changed.pth", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_a_resnet_of_other_blocks(tmp_path: Path) -> None:
    names = [
        f"layer{stage}.0.conv1{rest}" for stage in range(1, 5) for rest in (".weight", ".attention.channel_fc.weight")
    ]
    torch.save({name: torch.zeros(1) for name in (*names, "fc.weight")}, tmp_path / "small.pth")
    with pytest.raises(ModelError, match=r"a ResNet of \[1, 1, 1, 1\] blocks; the official code has resnet18, "):
        from_official(tmp_path / "small.pth")


class Unsafe:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("made-by-a-pickle",)


def test_a_pickle_that_would_run_code(mobilenet: dict[str, Tensor], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": mobilenet, "args": Unsafe()}, "unsafe.pth.tar")
    with pytest.raises(ModelError, match=r"holds more than tensors, which is not read as it could run code: .*mkdir"):
        import_official("unsafe.pth.tar", "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["unsafe.pth.tar"]
