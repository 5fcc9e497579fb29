"""The vision body: resize, normalisation, stages, anatomy, backbones."""

from pathlib import Path

import numpy as np
import pytest
import timm as timm_library
import torch
from PIL import Image
from safetensors.torch import save_file

from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.anatomy import describe
from sparsebench.models.attention.timm_attention import ProductTimmAttention
from sparsebench.suites.vtab.backbones import timm as timm_backbone
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.body import VisionBody


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(3, 40, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def convnet() -> VisionBody:
    return VisionBody(timm_library.create_model("tf_efficientnet_lite0", num_classes=0), 64).eval()


def test_resize_agrees_with_pil(images: np.ndarray) -> None:
    body = tiny.load(generator())
    encoded = torch.stack(list(body.encode(images))).permute(0, 2, 3, 1).numpy().astype(int)
    expected = [np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BICUBIC)) for image in images]
    difference = np.abs(encoded - np.stack(expected))
    assert difference.mean() < 0.5 and difference.max() <= 8, "PIL also clips between its two passes"


def test_normalisation_is_that_of_the_network(convnet: VisionBody) -> None:
    black_and_white = np.stack([np.full((64, 64, 3), value, np.uint8) for value in (0, 255)])
    batch = convnet.collate(list(convnet.encode(black_and_white)))
    assert batch[0].unique().tolist() == [-1.0] and batch[1].unique().tolist() == [1.0]
    assert batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "vit_tiny_patch16_224", "resnet18"])
def test_stages_make_up_the_network(name: str) -> None:
    body = timm_backbone.load(generator(), name).eval()
    inputs = torch.randn(2, 3, 224, 224, generator=generator())
    with torch.no_grad():
        features, expected = body(inputs), body.network(inputs)
    assert torch.equal(features, expected) and features.shape == (2, body.width)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("mobilenetv3_small_050", 14),
        ("ghostnet_050", 1),
        ("deit_tiny_distilled_patch16_224", 15),
        ("eva02_tiny_patch14_224", 1),
        ("swin_tiny_patch4_window7_224", 1),
    ],
)
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning")  # timm's interpolation of Swin's biases
def test_stages_at_another_image_size(name: str, stages: int) -> None:
    size = 64 if "patch16" in name else 56
    body = timm_backbone.load(generator(), f"{name}:{size}").eval()
    assert body.size == size and len(body.stages()) == stages
    inputs = body.collate(list(body.encode(np.zeros((2, 8, 8, 3), np.uint8))))
    with torch.no_grad():
        assert torch.equal(body(inputs), body.network(inputs)) and body(inputs).shape == (2, body.width)


def test_plain_attention_computes_by_products_where_that_is_faster() -> None:
    """In bfloat16 on a processor; in float32, where scores are taken, the numbers are those of timm's own module."""
    from timm.layers.attention import Attention

    body = tiny.load(generator()).eval()
    attention = body.network.blocks[0].attn
    assert type(attention) is ProductTimmAttention
    x_BTD = torch.randn(2, 17, 32, generator=generator(1))
    ours = attention(x_BTD)
    with torch.autocast("cpu", torch.bfloat16):
        half = attention(x_BTD)
    attention.__class__ = Attention
    torch.testing.assert_close(ours, attention(x_BTD), atol=0, rtol=0)
    torch.testing.assert_close(half.float(), ours, atol=0.01, rtol=0.01)


def test_anatomy_is_seen_through_the_body(convnet: VisionBody) -> None:
    anatomy = describe(convnet)
    assert len(anatomy.blocks) == 16 and anatomy.head is None
    assert anatomy.blocks[0].site.path == "network.blocks.0.0"


def test_batch_statistics_stay_frozen_under_adapters() -> None:
    body = VisionBody(timm_library.create_model("tf_efficientnet_lite0", num_classes=0), 64)
    attach(body, ConvConfig(r=2))
    before = {name: value.clone() for name, value in body.named_buffers() if "running" in name}
    body.train()(torch.randn(2, 3, 64, 64))
    assert before and all(torch.equal(before[name], dict(body.named_buffers())[name]) for name in before)


def test_random_weights_come_from_the_generator_alone() -> None:
    states = []
    for seed in (0, 0, 1):
        torch.rand(3)
        states.append(tiny.load(generator(seed)).state_dict()["network.blocks.0.attn.qkv.weight"])
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
    state = torch.get_rng_state()
    tiny.load(generator())
    assert torch.equal(state, torch.get_rng_state()), "the global generator is left alone"


def test_timm_weights_from_a_file(tmp_path: Path) -> None:
    model = timm_library.create_model("vit_tiny_patch16_224", num_classes=7, depth=12)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    body = timm_backbone.load(generator(), f"vit_tiny_patch16_224@{tmp_path / 'w.safetensors'}")
    assert torch.equal(body.network.blocks[3].mlp.fc1.weight, model.blocks[3].mlp.fc1.weight)
    small = timm_backbone.load(generator(), f"vit_tiny_patch16_224:64@{tmp_path / 'w.safetensors'}")
    assert small.size == 64 and small.network.pos_embed.shape == (1, 4 * 4 + 1, 192)
    assert torch.equal(small.network.blocks[3].mlp.fc1.weight, model.blocks[3].mlp.fc1.weight)
    behind = timm_backbone.load(generator(), f"vit_tiny_patch16_224@{tmp_path / 'w.safetensors'}:64")
    assert behind.size == 64
    assert all(torch.equal(tensor, small.state_dict()[name]) for name, tensor in behind.state_dict().items())
    with pytest.raises(ValueError, match="two image sizes, 64 and 32"):
        timm_backbone.load(generator(), f"vit_tiny_patch16_224:64@{tmp_path / 'w.safetensors'}:32")
    with pytest.raises(ValueError, match="is missing"):
        timm_backbone.load(generator(), f"resnet18@{tmp_path / 'w.safetensors'}")


def test_weights_that_were_trained_at_the_given_image_size(tmp_path: Path) -> None:
    """Their position embeddings were refused: the network was made at its own size first."""
    model = timm_library.create_model("vit_tiny_patch16_224", num_classes=7, img_size=64)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    body = timm_backbone.load(generator(), f"vit_tiny_patch16_224@{tmp_path / 'w.safetensors'}:64")
    assert body.size == 64 and torch.equal(body.network.pos_embed, model.pos_embed)
    with pytest.raises(ValueError, match=r"'pos_embed' has the shape \(1, 17, 192\), not \(1, 5, 192\)"):
        timm_backbone.load(generator(), f"vit_tiny_patch16_224@{tmp_path / 'w.safetensors'}:32")


def test_the_file_of_a_distilled_network_may_have_other_heads(tmp_path: Path) -> None:
    model = timm_library.create_model("deit_tiny_distilled_patch16_224", num_classes=7)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    body = timm_backbone.load(generator(), f"deit_tiny_distilled_patch16_224@{tmp_path / 'w.safetensors'}")
    assert torch.equal(body.network.dist_token, model.dist_token)
    assert describe(body).heads == (), "no random head_dist stays behind"


def test_a_colon_may_be_part_of_the_name_of_a_file(tmp_path: Path) -> None:
    model = timm_library.create_model("vit_tiny_patch16_224", num_classes=7)
    save_file(model.state_dict(), tmp_path / "w:64")
    assert timm_backbone.load(generator(), f"vit_tiny_patch16_224@{tmp_path / 'w:64'}").size == 224
    assert timm_backbone.load(generator(), f"vit_tiny_patch16_224@{tmp_path / 'w:64'}:96").size == 96


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (None, "write timm:NAME"),
        ("vit_tiny_patch16_225", "near: vit_tiny"),
        ("test_vit.nonsense", "test_vit has no weights called 'nonsense': it has r160_in1k; or leave .nonsense out"),
        ("resnet18@nothing.safetensors", "no file"),
        ("resnet18:16", "whole number from 32"),
        ("crossvit_tiny_240:64", "made for 240 pixels"),
        ("vit_tiny_patch16_224:100", "patches of 16 pixels and would not see all of 100: write a multiple of 16"),
        ("swin_tiny_patch4_window7_224:98", "multiple of 4"),
    ],
)
def test_bad_timm_arguments(argument: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        timm_backbone.load(generator(), argument)


def test_tiny_takes_no_argument() -> None:
    with pytest.raises(ValueError, match="no argument"):
        tiny.load(generator(), "64")
