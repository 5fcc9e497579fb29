"""Compact models on disk: the same outputs, files of the formula's size, little memory in a fresh process, refusals."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.dynamic import ConvConfig, make_dynamic
from sparsebench.models.dynamic.partitioning.compacting import compact
from sparsebench.models.dynamic.partitioning.files import RECIPE, WEIGHTS, load_compact, save_compact
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.parts import dynamic_layers
from sparsebench.models.errors import ModelError

HEADER = 65_536
"""Bytes that a safetensors file may have in addition to its tensors: their names."""

FRESH = """
import sys
import timm, torch
from sparsebench.models.dynamic import ConvConfig, make_dynamic
from sparsebench.models.dynamic.partitioning.files import load_compact

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
    load_compact(make_dynamic(model, ConvConfig(num_kernels=kernels)), folder)
print(resident() - before)
"""


def tiny(seed: int = 0, kernels: int = 3, device: str = "cpu") -> nn.Module:
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(seed)
        block = timm.models.resnet.BasicBlock
        net = timm.models.resnet.ResNet(block, (1, 1, 1, 1), channels=(4, 6, 8, 8), num_classes=3)
    return make_dynamic(net, ConvConfig(num_kernels=kernels, noise=float(device == "cpu"))).eval()


def saved(folder: Path, granularity: str = "weight", scale: str = "both") -> nn.Module:
    net = tiny()
    drawn = torch.Generator().manual_seed(1)
    partition(net, 0.4, criterion="random", granularity=granularity, scale=scale, generator=drawn)
    compact(net)
    save_compact(net, folder)
    return net


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("granularity", "scale"), [("weight", "both"), ("row", "both"), ("channel", "pruned")])
def test_a_saved_model_computes_the_same(tmp_path, granularity, scale, device):
    net = saved(tmp_path / "out", granularity, scale)
    again = tiny(seed=5, device=device)
    load_compact(again, tmp_path / "out")
    assert not any(value.is_meta for value in again.state_dict().values())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert torch.equal(again.eval()(x), net(x))
    for name, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def od_net(seed: int = 0, device: str = "cpu", reduction: int = 16) -> nn.Module:
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(seed)
        block = timm.models.resnet.BasicBlock
        net = timm.models.resnet.ResNet(block, (1, 1, 1, 1), channels=(4, 6, 8, 8), num_classes=3)
    config = ConvConfig(kind="od_conv", num_kernels=2, noise=float(device == "cpu"), reduction=reduction)
    return make_dynamic(net, config).eval()


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("of", "scale"), [("attentions", "both"), ("both", "both"), ("both", "pruned")])
def test_attentions_come_back_with_their_masks(tmp_path, of, scale, device):
    net = od_net()
    for name, parameter in net.named_parameters():
        if ".attention." in name:
            parameter.data.normal_(std=0.5, generator=torch.Generator().manual_seed(len(name)))
    partition(net, 0.4, of=of, criterion="random", scale=scale, generator=torch.Generator().manual_seed(1))
    compact(net)
    save_compact(net, tmp_path / "out")
    again = od_net(seed=5, device=device)
    load_compact(again, tmp_path / "out")
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert torch.equal(again.eval()(x), net(x))
    for name, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_attentions_that_do_not_fit_are_refused_and_change_nothing(tmp_path):
    net = od_net()
    partition(net, 0.4, of="attentions", criterion="random", generator=torch.Generator().manual_seed(1))
    compact(net)
    save_compact(net, tmp_path / "out")
    loaded = od_net()
    load_compact(loaded, tmp_path / "out")
    for other, words in (
        (tiny(), "compact attention .* has none of ODConv"),
        (od_net(reduction=1), r"channels and hidden units \[64, 16\], but the model's are \[64, 64\]"),
        (loaded, "compact form already"),
    ):
        before = {name: value.clone() for name, value in other.state_dict().items()}
        with pytest.raises(ModelError, match=words):
            load_compact(other, tmp_path / "out")
        after = other.state_dict()
        assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_folders_of_before_there_were_attentions_load(tmp_path):
    net = saved(tmp_path / "out")
    recipe = json.loads((tmp_path / "out" / RECIPE).read_text())
    assert recipe.pop("attentions") == {}
    (tmp_path / "out" / RECIPE).write_text(json.dumps(recipe))
    again = tiny(seed=5)
    load_compact(again, tmp_path / "out")
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert torch.equal(again.eval()(x), net(x))


def test_the_file_has_the_bytes_of_the_formula(tmp_path):
    net = saved(tmp_path / "out")
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


def test_memory_of_a_fresh_process_falls_with_the_file(tmp_path):
    """ResNet-10, four kernels, a tenth dynamic: 1.3 n numbers and a byte for each mask entry, where 4 n were."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = make_dynamic(timm.create_model("resnet10t", num_classes=0), ConvConfig(num_kernels=4))
    entries = sum(layer.weight_shape.numel() for layer in dynamic_layers(net).values())
    partition(net, 0.1, criterion="random", generator=torch.Generator().manual_seed(0))
    compact(net)
    save_compact(net, tmp_path / "out")
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


def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path):
    saved(tmp_path / "out")
    for net, words in (
        (tiny(kernels=2), r"kernels of shape \[3, "),
        (timm.create_model("resnet10t", num_classes=3), "no dynamic layer"),
        (nn.Linear(2, 2), "no dynamic layer"),
    ):
        before = {name: value.clone() for name, value in net.state_dict().items()}
        with pytest.raises(ModelError, match=words):
            load_compact(net, tmp_path / "out")
        after = net.state_dict()
        assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    other_head = tiny()
    other_head.fc = nn.Linear(8, 4)
    with pytest.raises(ModelError, match="tensors differ, as fc"):
        load_compact(other_head, tmp_path / "out")
    assert all(layer.compact is None for layer in dynamic_layers(other_head).values())
    twice = tiny()
    load_compact(twice, tmp_path / "out")
    with pytest.raises(ModelError, match="compact form already"):
        load_compact(twice, tmp_path / "out")


def test_buffers_that_no_file_holds_do_not_stay_on_the_meta_device(tmp_path):
    """Those of Swin, say, which are computed when a model is made."""
    saved(tmp_path / "out")
    places = torch.arange(3.0)
    for device in ("meta", "cpu"):
        again = tiny(device=device)
        again.register_buffer("places", places.to(device), persistent=False)
        if device == "meta":
            with pytest.raises(
                ModelError, match=r"1 buffers .* no file holds, as places: build it without torch.device"
            ):
                load_compact(again, tmp_path / "out")
            assert all(layer.compact is None for layer in dynamic_layers(again).values())
        else:
            load_compact(again, tmp_path / "out")
            assert torch.equal(again.places, places)


def test_damaged_folders_are_refused(tmp_path):
    with pytest.raises(ModelError, match="not written by save_compact"):
        load_compact(tiny(), tmp_path)
    saved(tmp_path / "out")
    recipe = json.loads((tmp_path / "out" / RECIPE).read_text())
    (tmp_path / "out" / RECIPE).write_text(json.dumps({**recipe, "format": 99}))
    with pytest.raises(ModelError, match="format 99"):
        load_compact(tiny(), tmp_path / "out")
    (tmp_path / "out" / RECIPE).write_text(json.dumps(recipe))
    content = (tmp_path / "out" / WEIGHTS).read_bytes()
    (tmp_path / "out" / WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="damaged or cut short"):
        load_compact(tiny(), tmp_path / "out")


def test_a_model_without_compact_layers_is_not_saved(tmp_path):
    with pytest.raises(ModelError, match="has no compact layer"):
        save_compact(tiny(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
