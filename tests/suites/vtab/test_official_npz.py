"""The files that every paper on adapters of ViT begins with: read into timm:NAME@FILE, or refused in a line."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from sparsebench.data.errors import WeightsError
from sparsebench.suites.vtab.backbones import timm as backbone
from sparsebench.suites.vtab.official_npz import read_npz

SIZES = {"img_size": 32, "patch_size": 16, "embed_dim": 12, "depth": 2, "num_heads": 3, "num_classes": 5}
SIZES |= {"qkv_bias": True}


def network(**changes) -> nn.Module:
    torch.manual_seed(0)
    made = timm.models.vision_transformer.VisionTransformer(**{**SIZES, **changes}).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def official(model: nn.Module) -> dict[str, np.ndarray]:
    """A timm ViT in the layout of Google's files: kernels (inputs, outputs), attention by heads."""
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    heads = model.blocks[0].attn.num_heads
    width = model.embed_dim
    arrays = {
        "cls": state["cls_token"],
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
        "head/kernel": state["head.weight"].T,
        "head/bias": state["head.bias"],
    }
    for number in range(len(model.blocks)):
        own = {name.removeprefix(f"blocks.{number}."): value for name, value in state.items()}
        place = f"Transformer/encoderblock_{number}/"
        attention = f"{place}MultiHeadDotProductAttention_1/"
        for part, weight, bias in zip(
            ("query", "key", "value"),
            np.split(own["attn.qkv.weight"], 3),
            np.split(own["attn.qkv.bias"], 3),
            strict=True,
        ):
            arrays[f"{attention}{part}/kernel"] = weight.T.reshape(width, heads, -1)
            arrays[f"{attention}{part}/bias"] = bias.reshape(heads, -1)
        arrays[f"{attention}out/kernel"] = own["attn.proj.weight"].T.reshape(heads, -1, width)
        arrays[f"{attention}out/bias"] = own["attn.proj.bias"]
        for layer, name in ((0, "fc1"), (1, "fc2")):
            arrays[f"{place}MlpBlock_3/Dense_{layer}/kernel"] = own[f"mlp.{name}.weight"].T
            arrays[f"{place}MlpBlock_3/Dense_{layer}/bias"] = own[f"mlp.{name}.bias"]
        for layer, name in ((0, "norm1"), (2, "norm2")):
            arrays[f"{place}LayerNorm_{layer}/scale"] = own[f"{name}.weight"]
            arrays[f"{place}LayerNorm_{layer}/bias"] = own[f"{name}.bias"]
    return arrays


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "B_16.npz", **official(network()))
    return tmp_path / "B_16.npz"


def test_the_numbers_of_the_file_come_out(file: Path) -> None:
    expected = network()
    found = network(num_classes=7)
    read_npz(found, file, without=("head.",))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert torch.equal(found.forward_features(images), expected.forward_features(images))
    assert found.head.weight.isfinite().all()


def test_it_is_the_file_of_a_backbone(tmp_path: Path) -> None:
    model = timm.create_model("vit_tiny_patch16_224")
    np.savez(tmp_path / "Ti_16.npz", **official(model))
    body = backbone.load(torch.Generator().manual_seed(0), f"vit_tiny_patch16_224@{tmp_path / 'Ti_16.npz'}")
    found = dict(body.network.named_parameters())
    expected = {name: value for name, value in model.named_parameters() if not name.startswith("head.")}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 1}, "has 2 blocks, and the network has 1"),
        ({"depth": 3}, "has 2 blocks, and the network has 3"),
        ({"embed_dim": 24}, "cannot be read into this network"),
        ({"init_values": 1.0}, "there is nothing for 'blocks.0.ls1.gamma'"),
    ],
)
def test_networks_that_the_file_does_not_fit(file: Path, change: dict, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        read_npz(network(**change), file, without=("head.",))


def test_damaged_files_are_refused_in_a_line(file: Path, tmp_path: Path) -> None:
    arrays = official(network())
    arrays["Transformer/encoder_norm/scale"] = np.where(np.arange(12) == 3, np.inf, 1).astype(np.float32)
    np.savez(tmp_path / "inf.npz", **arrays)
    lacking = {name: value for name, value in official(network()).items() if name != "cls"}
    np.savez(tmp_path / "lacking.npz", **lacking)
    (tmp_path / "cut.npz").write_bytes(file.read_bytes()[:1000])
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for name, words in (
        ("inf", "tensor 'norm.weight' holds numbers that are not finite"),
        ("lacking", "cannot be read into this network|there is nothing for 'cls_token'"),
        ("cut", "cannot be read into this network"),
        ("other", "cannot be read into this network"),
    ):
        with pytest.raises(WeightsError, match=rf"{name}\.npz.*({words})") as caught:
            read_npz(network(), tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)


def test_networks_that_timm_reads_from_no_npz(file: Path) -> None:
    with pytest.raises(WeightsError, match=r"timm reads no \.npz into a Linear: a safetensors file is wanted"):
        read_npz(nn.Linear(2, 2), file)


def test_the_smaller_network_has_the_file_beside(tmp_path: Path) -> None:
    """By the letter of official names, or the word of timm's; one file, or it is said which there are."""
    for name in (
        "B_16-i21k-300ep.npz",
        "S_16-i21k-300ep.npz",
        "L_16.npz",
        "vit_base.safetensors",
        "vit_small.safetensors",
    ):
        (tmp_path / name).touch()
    small = "vit_small_patch16_224.augreg_in21k"
    of_base = backbone.smaller(f"vit_base_patch16_224.augreg_in21k@{tmp_path}/B_16-i21k-300ep.npz")
    assert of_base == f"{small}@{tmp_path}/S_16-i21k-300ep.npz"
    of_large = backbone.smaller(f"vit_large_patch16_224@{tmp_path}/L_16.npz:96")
    assert of_large == f"vit_small_patch16_224@{tmp_path}/S_16-i21k-300ep.npz:96"
    words = backbone.smaller(f"vit_base_patch16_224@{tmp_path}/vit_base.safetensors")
    assert words == f"vit_small_patch16_224@{tmp_path}/vit_small.safetensors"
    (tmp_path / "S_16.npz").touch()
    with pytest.raises(
        ValueError, match=r"S_16, the weights of the smaller network: there is S_16-i21k-300ep.npz, S_16.npz"
    ):
        backbone.smaller(f"vit_base_patch16_224@{tmp_path}/B_16-i21k-300ep.npz")
