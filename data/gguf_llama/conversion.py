"""The weights of a GGUF file under the names of `LlamaForCausalLM`, and its configuration.

Layout of the tensors and keys: the GGUF specification and llama.cpp's conversion of Llama models.
"""

import re
from typing import TYPE_CHECKING, Any

from .head import Head, TensorInfo
from .metadata import check_tensors, sizes
from .tokens import token_id

if TYPE_CHECKING:
    import torch
    from transformers import LlamaConfig

TENSOR_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def tensors(head: Head) -> "dict[str, torch.Tensor]":
    """All weights in fp32 under the names of `LlamaForCausalLM`, dequantised exactly.

    llama.cpp stores the rows of q and k so that the two halves of each rotary pair are neighbours; undone here.

    Args:
        head: what `read_head` read; its file is mapped again.

    Raises:
        WeightsError: a tensor that is missing, unknown, of another shape, in an unknown encoding or not finite.
    """
    import numpy as np

    found = sizes(head)
    check_tensors(head, found)
    heads = {"attn_q": found.heads, "attn_k": found.key_heads}
    content = np.memmap(head.file, mode="r")
    state = {}
    for name, info in head.tensors.items():
        block, kind = _parts(name)
        weight = _dequantised(head, name, info, content)
        if kind in heads:
            rows, columns = weight.shape
            weight = weight.view(heads[kind], rows // heads[kind] // 2, 2, columns).transpose(1, 2)
            weight = weight.reshape(rows, columns).contiguous()
        prefix = f"model.layers.{block}." if block else ""
        state[f"{prefix}{TENSOR_NAMES[kind]}.weight"] = weight
    return state


def config(head: Head) -> "LlamaConfig":
    """The model's `LlamaConfig`; input and output embeddings are tied when the file has no output matrix.

    Args:
        head: what `read_head` read.

    Raises:
        WeightsError: metadata that no such model has.
    """
    from transformers import LlamaConfig

    found = sizes(head)
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        dtype="float32",
        vocab_size=found.vocabulary,
        hidden_size=found.width,
        intermediate_size=found.hidden,
        num_hidden_layers=found.blocks,
        num_attention_heads=found.heads,
        num_key_value_heads=found.key_heads,
        max_position_embeddings=found.context,
        rms_norm_eps=round(found.epsilon, 12),  # stored as fp32
        rope_parameters={"rope_type": "default", "rope_theta": found.rotary_base},
        tie_word_embeddings=found.tied,
        bos_token_id=token_id(head, "bos"),
        eos_token_id=token_id(head, "eos"),
        pad_token_id=token_id(head, "padding"),
    )


def _parts(name: str) -> tuple[str | None, str]:
    """Number of the block and kind of a tensor; `check_tensors` has seen its name."""
    block, kind = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.weight", name).groups()  # type: ignore[union-attr]
    return block, kind


def _dequantised(head: Head, name: str, info: TensorInfo, content: Any) -> "torch.Tensor":
    import numpy as np
    import torch
    from gguf import dequantize

    stored = content[info.start : info.start + info.size].reshape(*info.shape[:-1], -1)
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused below, by name
            weight = torch.from_numpy(np.array(dequantize(stored, info.kind), dtype=np.float32))
    except NotImplementedError as error:
        raise head.error(f"tensor {name!r} has the encoding {info.kind.name}, which is not known here") from error
    if weight.shape != info.shape:
        raise head.error(f"tensor {name!r} has the shape {tuple(weight.shape)} when it is unpacked, not {info.shape}")
    if not weight.isfinite().all():
        raise head.error(f"tensor {name!r} holds numbers that are not finite")
    return weight
