"""LoRA on convolutions with a kernel, against PEFT, through its files."""

from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import LoRAConfig, attach, load_peft, sparsify
from sparsebench.models.adapters.by_name import ByNameConfig, attach_by_name
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ..conftest import NEAR, noise

peft = pytest.importorskip("peft")
from ..files.peft_tools import theirs, written  # noqa: E402 - it imports PEFT

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


def resnet() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"num_classes": 3, "channels": (8, 8, 16, 16), "zero_init_last": False}
    return timm.create_model("resnet10t", **sizes).eval()


def through(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32))


def test_a_file_of_peft_there_and_back(tmp_path: Path) -> None:
    config = peft.LoraConfig(
        r=2, lora_alpha=5, target_modules=r"layer\d\.0\.(conv1|downsample\.1)|conv1\.0", modules_to_save=["fc"]
    )
    peer = theirs(resnet(), config, tmp_path / "theirs")
    model = resnet()
    adapters = load_peft(model, tmp_path / "theirs")
    torch.testing.assert_close(through(model), through(peer), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(through(model), through(resnet()), atol=1e-2) and len(adapters.heads) == 1
    torch.testing.assert_close(
        through(written(adapters, resnet(), tmp_path / "ours")), through(peer), atol=1e-5, rtol=1e-5
    )


def test_merging_pruning_and_going() -> None:
    model = resnet()
    before = through(model)
    adapters = attach_by_name(model, ByNameConfig(modules=(r"layer2\.0\.conv\d",), adapter=LoRAConfig(r=2, alpha=3)))
    assert torch.equal(through(model), before)
    noise(value for _, layer in adapters.layers() for _, value in layer.adapter_parameters())
    sparsify(adapters, method="magnitude", sparsity=0.5)
    adapted = through(model)
    adapters.merge()
    agree(through(model), adapted, "logits", within=NEAR)
    adapters.unmerge()
    agree(through(model), adapted, "logits after unmerge")
    assert not torch.allclose(adapted, before, atol=1e-3)
    adapters.remove()
    assert torch.equal(through(model), before)


@pytest.mark.parametrize(
    ("conv", "r", "message"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), 2, "ungrouped and not dilated"),
        (nn.Conv2d(4, 4, 3, dilation=2), 2, "ungrouped and not dilated"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), 2, "works on plain convolutions"),
        (nn.Conv2d(4, 3, 3), 4, "r=4 exceeds 3, the full rank of 0"),
    ],
)
def test_convolutions_that_it_cannot_follow(conv: nn.Conv2d, r: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        attach_by_name(nn.Sequential(conv), ByNameConfig(modules=("0",), adapter=LoRAConfig(r=r)))


def test_bfloat16() -> None:
    model = resnet().bfloat16()
    adapters = attach(model, ByNameConfig(modules=(r"layer1\.0\.conv1",), adapter=LoRAConfig(r=2)))
    assert {value.dtype for _, layer in adapters.layers() for _, value in layer.adapter_parameters()} == {torch.float32}
    assert model(torch.ones(1, 3, 32, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16
