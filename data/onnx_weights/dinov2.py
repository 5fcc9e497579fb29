"""The vision transformer of an ONNX file, as transformers' `Dinov2Model` is exported, under the names of timm.

Both are the same network (DINOv2, arXiv 2304.07193): LayerScale after attention and FFN, a class token, learned
positions. timm holds query, key and value as one matrix.
"""

import re
from typing import TYPE_CHECKING

import numpy as np

from ..errors import WeightsError
from .graph import Graph

if TYPE_CHECKING:
    from torch import Tensor

_PLAIN = {
    "cls_token": "backbone.embeddings.cls_token",
    "patch_embed.proj.weight": "backbone.embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "backbone.embeddings.patch_embeddings.projection.bias",
    "norm.weight": "backbone.layernorm.weight",
    "norm.bias": "backbone.layernorm.bias",
}
_OF_A_BLOCK = {
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "attn.proj.bias": "attention.output.dense.bias",
    "ls1.gamma": "layer_scale1.lambda1",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
    "mlp.fc1.bias": "mlp.fc1.bias",
    "mlp.fc2.bias": "mlp.fc2.bias",
    "ls2.gamma": "layer_scale2.lambda1",
}
_MATRICES = {
    "attn.proj.weight": "attention/output/dense",
    "mlp.fc1.weight": "mlp/fc1",
    "mlp.fc2.weight": "mlp/fc2",
}
_JOINT = ("query", "key", "value")
"""In the order of timm's joint matrix."""


def state(graph: Graph) -> "dict[str, Tensor]":
    """The tensors of timm's `VisionTransformer` in float32; `pos_embed` (1, 1 + patches, width) as the file has it.

    Raises `WeightsError` for a file that lacks one of them.
    """
    import torch

    found = {ours: graph.tensor(theirs) for ours, theirs in _PLAIN.items()}
    found["pos_embed"] = _positions(graph)
    for number in range(_blocks(graph)):
        for ours, array in _block(graph, number).items():
            found[f"blocks.{number}.{ours}"] = array
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in found.items()}


def _positions(graph: Graph) -> np.ndarray:
    """Those of the class token, then those of the patches, which the exporter keeps apart."""
    own = graph.operand("/backbone/embeddings/Concat_6")
    patches = graph.operand("/backbone/embeddings/Reshape_1")
    return np.concatenate([own, patches], axis=1)


def _block(graph: Graph, number: int) -> dict[str, np.ndarray]:
    names = f"backbone.encoder.layer.{number}"
    nodes = f"/backbone/encoder/layer.{number}"
    found = {ours: graph.tensor(f"{names}.{theirs}") for ours, theirs in _OF_A_BLOCK.items()}
    for ours, layer in _MATRICES.items():
        found[ours] = graph.operand(f"{nodes}/{layer}/MatMul").T
    weights = [graph.operand(f"{nodes}/attention/attention/{part}/MatMul").T for part in _JOINT]
    biases = [graph.tensor(f"{names}.attention.attention.{part}.bias") for part in _JOINT]
    found["attn.qkv.weight"] = np.concatenate(weights)
    found["attn.qkv.bias"] = np.concatenate(biases)
    return found


def _blocks(graph: Graph) -> int:
    """How many there are, without a gap."""
    pattern = re.compile(r"backbone\.encoder\.layer\.(\d+)\.norm1\.weight")
    matches = [pattern.fullmatch(name) for name in graph.tensors]
    numbers = sorted(int(match[1]) for match in matches if match)
    if not numbers or numbers != list(range(len(numbers))):
        raise WeightsError(f"{graph.file}: the blocks {numbers} are not those of a Dinov2Model")
    return len(numbers)
