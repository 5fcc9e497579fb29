"""What the code of LLaMA-MoE v2 can write and no published checkpoint has: biases of experts, dense blocks.

The code that aligns the outputs of a mixture with those of the dense layer gives each expert a bias behind its down
projection. It is the same for all experts of a layer, and their weights sum to 1: the layer's output gets the bias
times the scale, once. The first and last `num_moe_contract_layers` blocks keep a dense FFN.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from ..errors import ModelError
from .checkpoint import Checkpoint
from .decoders import OF_LLAMA, OF_MIXTRAL, dense_ffn

AS_SAVED = "block_sparse_moe.{part}.weight", OF_MIXTRAL
"""Names of a dense FFN as the official class has them."""
AS_CONVERTED = "mlp.{part}.weight", OF_LLAMA
"""Names that the official converter leaves as they were."""
LEFT_OUT = (
    "whether its dense blocks are meant: the official class does not read them by the names that they have here, and "
    "computes with random ones; they are read"
)


def dense_blocks(checkpoint: Checkpoint) -> frozenset[int]:
    """Numbers of the blocks that are no mixtures. Raises `ModelError` where none would be one."""
    blocks = checkpoint.required("num_hidden_layers")
    each = checkpoint.config.get("num_moe_contract_layers", 0)
    if not isinstance(each, int) or not 0 <= 2 * each < blocks:
        raise ModelError(
            f"{checkpoint.place} says num_moe_contract_layers={each!r} of {blocks} blocks: none is a mixture"
        )
    return frozenset((*range(each), *range(blocks - each, blocks)))


def dense_block(checkpoint: Checkpoint, index: int, hidden: int) -> dict[str, Tensor]:
    """The dense FFN of a block.

    Args:
        checkpoint: that is read.
        index: of the block.
        hidden: its neurons (F).

    Returns:
        By the names of a Llama: gate and up (F, D), down (D, F).

    Raises:
        ModelError: it is not there, or of another width.
    """
    pattern, parts = AS_CONVERTED if _is_as_converted(checkpoint, index) else AS_SAVED
    return dense_ffn(checkpoint, index, f"model.layers.{index}.{pattern}", hidden, parts)


def left_out(checkpoint: Checkpoint, dense: Collection[int]) -> tuple[str, ...]:
    """What a checkpoint leaves open if its dense blocks have names that the official class does not read."""
    return (LEFT_OUT,) if any(_is_as_converted(checkpoint, index) for index in dense) else ()


def _is_as_converted(checkpoint: Checkpoint, index: int) -> bool:
    return f"model.layers.{index}.mlp.gate_proj.weight" in checkpoint


def common_bias(checkpoint: Checkpoint, names: Sequence[str], scale: float) -> Tensor:
    """What the biases of a layer's experts add to its output.

    Args:
        checkpoint: that is read.
        names: of the biases (D,), one for each expert.
        scale: of the layer's output.

    Returns:
        The bias that they have in common, times the scale (D,).

    Raises:
        ModelError: one is missing, or they differ: then the sum depends on which experts a token has.
    """
    first, *others = (checkpoint.take(name, checkpoint.required("hidden_size")) for name in names)
    for name, other in zip(names[1:], others, strict=True):
        if not torch.equal(first, other):
            raise ModelError(
                f"in {checkpoint.place}, {name} and {names[0]} differ: experts with biases of their own cannot be said "
                "here; those of the official alignment are equal (add_rescale_bias)"
            )
    return first * scale
