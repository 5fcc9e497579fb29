"""Sizes and choices of a MoLM, in the form of transformers."""

from __future__ import annotations

from typing import Any, Literal, get_args

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from ..errors import ModelError, check_choice

RouterKind = Literal["mlp", "linear", "cosine"]
Balance = Literal["mutual_information", "switch"]


@strict
class MoLMConfig(PreTrainedConfig):
    """A MoLM (ModuleFormer, arXiv 2306.04640); the defaults are those of the official class.

    An FFN has `num_experts` experts of `intermediate_size` neurons, of which a token takes `num_experts_per_tok`; an
    attention has `num_attention_experts` projections of queries and outputs, `num_attention_experts_per_tok` a token,
    over keys and values of `attention_size` numbers in `num_attention_heads` heads, which all of them share.

    `router`: "mlp" (GELU, `router_size` neurons), "linear", or "cosine" to centroids of `router_size` numbers.
    `balance` is the loss on the routers, which comes on top of that of the tokens with the factor `balance_weight`.
    `dropout` is that of the residual branches, `router_dropout` and `embedding_dropout` what they say.

    Raises `ModelError` for values that cannot work.
    """

    model_type = "molm"

    vocab_size: int = 50295
    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 8
    attention_size: int = 512
    num_attention_experts: int = 32
    num_attention_experts_per_tok: int = 2
    intermediate_size: int = 2048
    num_experts: int = 32
    num_experts_per_tok: int = 2
    router: str = "mlp"
    router_size: int = 256
    hidden_act: str = "gelu_new"
    balance: str = "mutual_information"
    balance_weight: float | int = 0.0
    dropout: float | int = 0.0
    embedding_dropout: float | int = 0.0
    router_dropout: float | int = 0.0
    max_position_embeddings: int = 1024
    initializer_range: float = 0.02
    use_cache: bool = True
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        check_choice("router", self.router, get_args(RouterKind))
        check_choice("balance", self.balance, get_args(Balance))
        if self.attention_size % self.num_attention_heads:
            raise ModelError(
                f"attention_size={self.attention_size} is no multiple of num_attention_heads={self.num_attention_heads}"
            )
        for kind in ("experts", "attention_experts"):
            top_k = getattr(self, f"num_{kind}_per_tok")
            most = getattr(self, f"num_{kind}")
            if not 1 <= top_k <= most:
                raise ModelError(f"num_{kind}_per_tok={top_k} must lie in 1..{most}, the number of them")
        if self.tie_word_embeddings:
            raise ModelError("tie_word_embeddings: the head of a MoLM has weights of its own")
