"""A small Dinov2 of transformers, named as an exporter names it, becomes timm's network."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from transformers import Dinov2Config, Dinov2Model

from sparsebench.data.errors import WeightsError
from sparsebench.data.onnx_weights import dinov2, read_graph

from .onnx_file import graph_file

WIDTH, DEPTH, SIDE = 16, 2, 28
AS_EXPORTED = {
    "q_proj": "attention.query",
    "k_proj": "attention.key",
    "v_proj": "attention.value",
    "o_proj": "output.dense",
}
"""Names of transformers 5.24, and those of the version that wrote the file."""


@pytest.fixture(scope="module")
def theirs() -> Dinov2Model:
    """Random weights everywhere, LayerScale and norms too, so that a swapped pair is seen."""
    config = Dinov2Config(hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=2, image_size=SIDE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Dinov2Model(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def exported(model: Dinov2Model) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, ...]]]:
    """Constants and nodes: matrices of linear layers transposed and without their names, positions in two parts."""
    tensors: dict[str, np.ndarray] = {}
    nodes: dict[str, tuple[str, ...]] = {}
    for name, value in model.state_dict().items():
        array = value.float().numpy()
        key = name
        for new, old in AS_EXPORTED.items():
            key = key.replace(f"attention.{new}", f"attention.{old}")
        matrix = re.fullmatch(r"encoder\.(layer\.\d+)\.(.+)\.weight", key)
        if key == "embeddings.position_embeddings":
            tensors |= {"onnx::Concat_1": array[:, :1], "onnx::Reshape_2": array[:, 1:]}
        elif matrix and array.ndim == 2:
            constant = f"onnx::MatMul_{len(tensors)}"
            tensors[constant] = array.T
            nodes[f"/backbone/encoder/{matrix[1]}/{matrix[2].replace('.', '/')}/MatMul"] = ("x", constant)
        elif "mask_token" not in key:
            tensors[f"backbone.{key}"] = array
    nodes["/backbone/embeddings/Concat_6"] = ("onnx::Concat_1", "resized")
    nodes["/backbone/embeddings/Reshape_1"] = ("onnx::Reshape_2", "shape")
    return tensors, nodes


def test_both_networks_give_the_same_tokens(theirs: Dinov2Model, tmp_path: Path) -> None:
    state = dinov2.state(read_graph(graph_file(tmp_path / "made.onnx", *exported(theirs))))
    ours = VisionTransformer(
        img_size=SIDE, patch_size=14, embed_dim=WIDTH, depth=DEPTH, num_heads=2, init_values=1.0, num_classes=0
    )
    ours.load_state_dict(state)
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        found = ours.double().eval().forward_features(images)
        expected = theirs(images).last_hidden_state
    assert found.shape == (2, 5, WIDTH) and torch.allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ("layer.0.norm1.weight", r"blocks \[1\] are not those of a Dinov2Model"),
        ("layer.1.attention.attention.query.bias", r"'backbone\.encoder\.layer\.1\.attention.*query\.bias' is missing"),
        ("cls_token", r"tensor 'backbone\.embeddings\.cls_token' is missing"),
        ("layer.1/mlp/fc2/MatMul", r"node '/backbone/encoder/layer\.1/mlp/fc2/MatMul' is missing"),
    ],
)
def test_what_is_missing_is_named(theirs: Dinov2Model, tmp_path: Path, part: str, problem: str) -> None:
    tensors, nodes = exported(theirs)
    for names in (tensors, nodes):
        for name in [name for name in names if name.endswith(part)]:
            del names[name]
    with pytest.raises(WeightsError, match=problem):
        dinov2.state(read_graph(graph_file(tmp_path / "made.onnx", tensors, nodes)))
