"""Compact models on disk: the same outputs, files of the formula's size, little memory in a fresh process, refusals.

All kinds of models and folders are in `tests/models/hub`.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from sparsebench.models import load, save
from sparsebench.models.dynamic import ConvConfig, MixtureConfig, WarehouseConfig, make_dynamic
from sparsebench.models.dynamic.partitioning.compacting import compact
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.parts import dynamic_layers
from sparsebench.models.errors import ModelError

WEIGHTS = "sparsebench.safetensors"
HEADER = 65_536
"""Bytes that a safetensors file may have in addition to its tensors: their names."""

FRESH = """
import sys
import timm, torch
from sparsebench.models import load
from sparsebench.models.dynamic import ConvConfig, make_dynamic

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) * 1024

folder, kernels = sys.argv[1], int(sys.argv[2])
with torch.device("meta"):
    model = timm.create_model("resnet10t", num_classes=0)
before = resident()
if folder == "full":
    model = make_dynamic(model.to_empty(device="cpu"), ConvConfig(num_kernels=kernels))
else:
    model = load(folder)
print(resident() - before)
"""
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def resnet(device: str = "cpu") -> nn.Module:
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(0)
        block = timm.models.resnet.BasicBlock
        return timm.models.resnet.ResNet(block, (1, 1, 1, 1), channels=(4, 6, 8, 8), num_classes=3)


def check_comes_back(net: nn.Module, folder: Path, device: str) -> None:
    save(net.eval(), folder, like=resnet(), example=IMAGES)
    again = load(folder, like=resnet(device))
    assert not any(value.is_meta for value in again.state_dict().values())
    assert torch.equal(again(IMAGES), net(IMAGES))
    for name, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert [value.requires_grad for value in again.parameters()] == [value.requires_grad for value in net.parameters()]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("granularity", "scale"), [("weight", "both"), ("row", "both"), ("channel", "pruned")])
def test_a_saved_model_computes_the_same(tmp_path: Path, granularity, scale, device: str) -> None:
    net = make_dynamic(resnet(), ConvConfig(num_kernels=3, noise=1.0))
    drawn = torch.Generator().manual_seed(1)
    partition(net, 0.4, criterion="random", granularity=granularity, scale=scale, generator=drawn)
    check_comes_back(net, tmp_path / "partitioned", device)
    compact(net)
    check_comes_back(net, tmp_path / "compact", device)


@pytest.mark.parametrize(("of", "scale"), [("attentions", "both"), ("both", "both"), ("both", "pruned")])
def test_attentions_come_back_with_their_masks(tmp_path: Path, of, scale) -> None:
    net = make_dynamic(resnet(), ConvConfig(kind="od_conv", num_kernels=2, noise=1.0))
    for name, parameter in net.named_parameters():
        if ".attention." in name:
            parameter.data.normal_(std=0.5, generator=torch.Generator().manual_seed(len(name)))
    partition(net, 0.4, of=of, criterion="random", scale=scale, generator=torch.Generator().manual_seed(1))
    check_comes_back(net, tmp_path / "partitioned", "meta")
    compact(net)
    check_comes_back(net, tmp_path / "compact", "meta")


@pytest.mark.parametrize(
    "config",
    [ConvConfig(kind="cond_conv", blocks=(1, 2)), ConvConfig(kind="od_conv"), WarehouseConfig(budget=0.5)],
    ids=lambda config: getattr(config, "kind", "warehouse"),
)
def test_every_kind_of_dynamic_convolution_comes_back(tmp_path: Path, config) -> None:
    check_comes_back(make_dynamic(resnet(), config), tmp_path / "net", "meta")


def swin() -> nn.Module:
    """With tables of positions and masks of attention, which no state dict has."""
    sizes: Any = {"img_size": 32, "window_size": 4, "embed_dim": 16, "depths": (2, 1), "num_heads": (2, 2)}
    return timm.models.SwinTransformer(**sizes, num_classes=3)


def eva() -> nn.Module:
    """With tables of rotations, likewise."""
    sizes: Any = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    return timm.models.Eva(**sizes, use_rot_pos_emb=True, num_classes=3)


@pytest.mark.parametrize("build", [swin, eva])
def test_buffers_of_no_state_come_back_into_a_model_without_numbers(tmp_path: Path, build) -> None:
    net = make_dynamic(build(), MixtureConfig(num_kernels=2, top_k=1, noise=0.5)).eval()
    partition(net, 0.4, criterion="random", granularity="row", generator=torch.Generator().manual_seed(1))
    compact(net)
    save(net, tmp_path / "net", like=build(), example=IMAGES)
    with torch.device("meta"):
        like = build()
    again = load(tmp_path / "net", like=like)
    assert not any(value.is_meta for value in (*again.parameters(), *again.buffers()))
    with torch.no_grad():
        assert torch.equal(again(IMAGES), net(IMAGES))


def bert() -> Any:
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    heads: dict[str, Any] = {"num_attention_heads": 2, "vocab_size": 40, "max_position_embeddings": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.BertForSequenceClassification(transformers.BertConfig(**sizes, **heads)).eval()


IDS = torch.arange(3, 11)[None]


@pytest.mark.parametrize("form", ["dynamic", "weight", "row", "compact weight", "compact channel"])
def test_transformers_own_means_bring_it_back(tmp_path: Path, form: str) -> None:
    """With the head and without it, with what trains; made from its configuration it starts as the dense model."""
    net = make_dynamic(bert(), MixtureConfig(num_kernels=3, noise=0.0 if "compact" in form else 0.5))
    if form != "dynamic":
        granularity: Any = form.split()[-1]
        partition(net, 0.4, criterion="random", granularity=granularity, generator=torch.Generator().manual_seed(1))
    if "compact" in form:
        compact(net)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = transformers.AutoModelForSequenceClassification.from_config(net.config).eval()
    if "compact" in form:
        torch.testing.assert_close(made(IDS).logits, bert()(IDS).logits)
    with torch.no_grad():
        for value in net.parameters():
            value += 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(value.numel()))
    net.save_pretrained(tmp_path / "net")
    again = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "net")
    assert type(again) is type(net) and torch.equal(again(IDS).logits, net(IDS).logits)
    gradients = {name: value.requires_grad for name, value in net.named_parameters()}
    assert {name: value.requires_grad for name, value in again.named_parameters()} == gradients
    body = transformers.AutoModel.from_pretrained(tmp_path / "net")
    assert torch.equal(body(IDS)[0], net.bert(IDS)[0])
    body.save_pretrained(tmp_path / "body")
    assert torch.equal(transformers.AutoModel.from_pretrained(tmp_path / "body")(IDS)[0], net.bert(IDS)[0])
    with pytest.raises(OSError, match="after_import_sparsebench"):
        transformers.BertForSequenceClassification.from_pretrained(tmp_path / "net")


def test_a_card_says_how_it_was_made_dynamic(tmp_path: Path) -> None:
    net = make_dynamic(bert(), MixtureConfig(num_kernels=3, targets=("down",)))
    partition(net, 0.4, criterion="random", generator=torch.Generator().manual_seed(1))
    net.save_pretrained(tmp_path)
    said = "A model with dynamic layers by MixtureConfig(num_kernels=3, targets=('down',)), 2 partitioned."
    assert said in (tmp_path / "README.md").read_text()
    convs = make_dynamic(resnet(), ConvConfig(), modules="layer1")
    save(convs, tmp_path / "own", like=resnet(), example=IMAGES)
    assert "dynamic layers by ConvConfig() in 'layer1'." in (tmp_path / "own" / "README.md").read_text()


def test_a_damaged_mask_is_refused_by_transformers_too(tmp_path: Path) -> None:
    net = make_dynamic(bert(), MixtureConfig(num_kernels=2))
    partition(net, 0.4, criterion="random", generator=torch.Generator().manual_seed(1))
    compact(net)
    net.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith(".bits"))
    save_file(tensors | {name: tensors[name] ^ 1}, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"has not \d+ entries: the folder is damaged"):
        transformers.AutoModel.from_pretrained(tmp_path)
    del tensors[name]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(ModelError, match="has no weights for a CompactWeights of a changed layer"):
        transformers.AutoModel.from_pretrained(tmp_path)


def test_a_part_of_a_network_that_was_changed_as_a_whole_is_not_saved_alone(tmp_path: Path) -> None:
    net = make_dynamic(bert(), MixtureConfig(num_kernels=2))
    with pytest.raises(ModelError, match="were not made by make_dynamic"):
        net.bert.save_pretrained(tmp_path / "body")


def test_a_mask_with_another_number_of_entries_is_refused(tmp_path: Path) -> None:
    net = make_dynamic(resnet(), ConvConfig(num_kernels=2))
    partition(net, 0.4, criterion="random", generator=torch.Generator().manual_seed(1))
    compact(net)
    save(net, tmp_path / "net", like=resnet(), example=IMAGES)
    tensors = load_file(tmp_path / "net" / WEIGHTS)
    tensors["layer1.0.conv1.compact.bits"] ^= 1
    save_file(tensors, tmp_path / "net" / WEIGHTS)
    with pytest.raises(ModelError, match=r"the mask of layer1\.0\.conv1\.compact has not \d+ entries: .* damaged"):
        load(tmp_path / "net", like=resnet())


def test_layers_that_nobody_noted_are_refused(tmp_path: Path) -> None:
    net = resnet()
    net.layer1[0].conv1 = make_dynamic(resnet(), ConvConfig()).layer1[0].conv1
    with pytest.raises(ModelError, match="were not made by make_dynamic"):
        save(net, tmp_path / "net", like=resnet(), example=IMAGES)


def test_the_file_has_the_bytes_of_the_formula(tmp_path: Path) -> None:
    net = make_dynamic(resnet(), ConvConfig(num_kernels=3))
    partition(net, 0.4, criterion="random", generator=torch.Generator().manual_seed(1))
    compact(net)
    save(net, tmp_path / "out", like=resnet(), example=IMAGES)
    numbers, bits = 0, 0
    rest = 0
    for name, value in net.state_dict().items():
        if name.endswith("bits"):
            bits += value.numel()
        elif ".compact." in name:
            numbers += value.numel()
        else:
            rest += value.nbytes
    formula = 0
    for layer in dynamic_layers(net).values():
        entries, dynamic = layer.weight_shape.numel(), int(layer.compact.mask.sum())
        formula += entries - dynamic + layer.num_kernels * dynamic
    assert numbers == formula
    size = (tmp_path / "out" / WEIGHTS).stat().st_size
    assert 0 <= size - (4 * formula + bits + rest) < HEADER


def test_memory_of_a_fresh_process_falls_with_the_file(tmp_path: Path) -> None:
    """ResNet-10, four kernels, a tenth dynamic: 1.3 n numbers and a byte for each mask entry, where 4 n were."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = make_dynamic(timm.create_model("resnet10t", num_classes=0), ConvConfig(num_kernels=4))
    entries = sum(layer.weight_shape.numel() for layer in dynamic_layers(net).values())
    partition(net, 0.1, criterion="random", generator=torch.Generator().manual_seed(0))
    compact(net)
    save(net, tmp_path / "out")
    resident = {}
    for name in ("full", str(tmp_path / "out")):
        ran = subprocess.run([sys.executable, "-c", FRESH, name, "4"], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        resident[name] = int(ran.stdout)
    full, small = resident.values()
    slack = 20e6
    assert full > 4 * 4 * entries
    assert small < (4 * 1.3 + 1) * entries + slack
    assert small < 0.5 * full
