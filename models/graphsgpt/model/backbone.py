"""The transformer that both halves of GraphsGPT share, and how all of their weights start (arXiv 2402.02464)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, initialization

from ...anatomy import register_describer
from ...attention.attention_product import attention
from ...errors import ModelError
from ..tokens.batch import TokenBatch
from .anatomy import describe
from .configuration import GraphsGPTConfig, own_vocabulary
from .heads import ZeroInitLinear
from .positions import GraphPositions, StableEmbedding, orthonormal

# Shapes: B sequences, S tokens, D width, H heads, d numbers per head.


class Attention(nn.Module):
    """Multi-head self-attention without biases."""

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.head_dim = width // config.num_attention_heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, see: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D); `see` (B, 1, S or 1, S) bool says which keys a query sees."""
        shape = (*x.shape[:2], self.num_heads, self.head_dim)
        q_BHSd = self.q_proj(x).view(shape).transpose(1, 2)
        k_BHSd = self.k_proj(x).view(shape).transpose(1, 2)
        v_BHSd = self.v_proj(x).view(shape).transpose(1, 2)
        out_BHSd = attention(q_BHSd, k_BHSd, v_BHSd, see)
        return self.o_proj(out_BHSd.transpose(1, 2).reshape(x.shape))


class FeedForward(nn.Module):
    """W_down SiLU(W_up x), without biases."""

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.act_fn = nn.SiLU()
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return self.down_proj(self.act_fn(self.up_proj(x)))


class Layer(nn.Module):
    """Attention and FFN, each after an RMS norm and added to its input."""

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, see: Tensor) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        x = x + self.self_attn(self.input_layernorm(x), see)
        return x + self.mlp(self.post_attention_layernorm(x))


class MoleculeEmbedding(nn.Module):
    """Vector of a molecule's token: its class, whether it is an atom, and its place in the graph, each normed."""

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.token = StableEmbedding(config.vocab_size, width)
        self.identifier = StableEmbedding(2, width)
        self.positions = GraphPositions(config.max_atoms, config.code_size, width)

    def forward(self, batch: TokenBatch, permutation: Tensor | None = None) -> Tensor:
        """(B, S, D); `permutation` (B, A) renames the atoms."""
        place = self.positions(batch.positions, permutation)
        return self.token(batch.tokens.long()) + self.identifier(batch.is_node.long()) + place


class GraphsGPTPreTrainedModel(PreTrainedModel):
    """What the models of this family have in common.

    Weights start from `config.seed` alone: linear ones N(0, 2 / (hidden + intermediate)), biases 0, norms 1,
    embeddings N(0, 1), position codes orthonormal.
    """

    config: GraphsGPTConfig
    config_class = GraphsGPTConfig
    base_model_prefix = "model"
    main_input_name = "batch"
    _stream = 0
    """Which of the random streams of a seed the class draws from, so that the two halves differ."""

    @property
    def dummy_inputs(self) -> dict[str, Any]:
        """A batch of small molecules of the model's vocabulary, on its device. Raises `ModelError` for none."""
        from ..tokens.tokenizer import Tokenizer  # needs rdkit, which this file does not

        molecules = Tokenizer(own_vocabulary(self.config))(["CCO", "c1ccncc1", "CN", "C"])
        if not len(molecules.ok):
            raise ModelError("none of CCO, c1ccncc1, CN and C is of the model's vocabulary: take a batch of your own")
        return {"batch": molecules.batch(molecules.ok).to(self.device)}

    def initialize_weights(self) -> None:
        """Draw every weight that is not loaded."""
        self._generator = torch.Generator().manual_seed(3 * self.config.seed + self._stream)
        try:
            super().initialize_weights()
        finally:
            del self._generator

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        generator = getattr(self, "_generator", None)
        if isinstance(module, ZeroInitLinear):
            initialization.zeros_(module.weight)
        elif isinstance(module, nn.Linear):
            initialization.normal_(module.weight, std=self.config.initializer_range, generator=generator)
            if module.bias is not None:
                initialization.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            initialization.normal_(module.weight, generator=generator)
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            initialization.ones_(module.weight)
            if isinstance(module, nn.LayerNorm):
                initialization.zeros_(module.bias)
        elif isinstance(module, GraphPositions):
            rows, columns = module.codes.shape
            initialization.copy_(module.codes, orthonormal(rows, columns, generator))


register_describer(GraphsGPTPreTrainedModel, describe)
