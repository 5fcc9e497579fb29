"""Families of dense decoders whose configuration or tensors say more than Llama's, in Llama's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from .features import OTHER_NORMS, OWN_ROTATION, PARTIAL_ROTATION, POST_NORMS, SANDWICH, SOFT_CAPS

State = dict[str, Tensor]


class Multipliers(NamedTuple):
    """What embeddings, the output of each layer and scores are multiplied by, and logits are divided by."""

    embedding: float
    residual: float
    attention: float
    logits: float

    def folded(self, state: State, head_dim: int) -> State:
        """Tensors of a model that multiplies by nothing but head_dim^-1/2 and computes the same."""
        query = self.attention * head_dim**0.5
        factors = {
            "embed_tokens.weight": self.embedding,
            "lm_head.weight": 1 / self.logits,
            "mlp.down_proj.weight": self.residual,
            **{f"self_attn.o_proj.{kind}": self.residual for kind in ("weight", "bias")},
            **{f"self_attn.q_proj.{kind}": query for kind in ("weight", "bias")},
        }
        found = dict(state)
        for name, value in state.items():
            factor = next((factor for end, factor in factors.items() if name.endswith(end)), 1.0)
            if factor != 1:
                found[name] = value * factor
        return found


@dataclass(frozen=True)
class Dialect:
    """One family, in functions of its configuration.

    `features` are those that Llama has not, beside what `Source` sees in the modules. `state` gives the tensors under
    the names of Llama, `multipliers` all four where the family has any.
    """

    features: Callable[[Any], set[str]] = lambda config: set()
    state: Callable[[Any, State], State] = lambda config, state: state
    multipliers: Callable[[Any], Multipliers | None] = lambda config: None


def _apart(config: Any, state: State) -> State:
    """Phi-3 with matrices of its own for queries, keys and values, and for gates and inputs of dense blocks."""
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    keys = config.num_key_value_heads * head_dim
    parts = {
        "qkv_proj": (("q_proj", "k_proj", "v_proj"), (config.num_attention_heads * head_dim, keys, keys)),
        "gate_up_proj": (("gate_proj", "up_proj"), (config.intermediate_size,) * 2),
    }
    found: State = {}
    for name, value in state.items():
        for fused, (names, sizes) in parts.items():
            if f".{fused}." in name:
                pieces = value.split(list(sizes))
                found |= {name.replace(fused, each): piece for each, piece in zip(names, pieces, strict=True)}
                break
        else:
            found[name] = value
    return found


def _gemma_norms(config: Any, state: State) -> State:
    """Norms of Gemma multiply by 1 + weight."""
    return {name: value + 1 if "norm" in name else value for name, value in state.items()}


def _granite(config: Any) -> Multipliers:
    return Multipliers(
        config.embedding_multiplier, config.residual_multiplier, config.attention_multiplier, config.logits_scaling
    )


def _smollm3(config: Any) -> set[str]:
    return set() if all(config.no_rope_layers) else {OWN_ROTATION}


def _phi3(config: Any) -> set[str]:
    return set() if config.rope_parameters.get("partial_rotary_factor", 1) == 1 else {PARTIAL_ROTATION}


DIALECTS: Mapping[str, Dialect] = {
    "llama": Dialect(),
    "mistral": Dialect(),
    "qwen2": Dialect(),
    "qwen3": Dialect(),
    "granite": Dialect(multipliers=_granite),
    "gemma": Dialect(
        state=_gemma_norms,
        multipliers=lambda config: Multipliers(config.hidden_size**0.5, 1.0, config.head_dim**-0.5, 1.0),
    ),
    "phi3": Dialect(features=_phi3, state=_apart),
    "olmo2": Dialect(features=lambda config: {POST_NORMS}),
    "olmo3": Dialect(features=lambda config: {POST_NORMS, OWN_ROTATION}),
    "smollm3": Dialect(features=_smollm3),
    "gemma2": Dialect(features=lambda config: {SANDWICH, SOFT_CAPS}),
    "gemma3_text": Dialect(features=lambda config: {SANDWICH, OWN_ROTATION}),
    "glm4": Dialect(features=lambda config: {SANDWICH}),
    "olmo": Dialect(features=lambda config: {OTHER_NORMS}),
    "stablelm": Dialect(features=lambda config: {OTHER_NORMS}),
}
"""By model type. No stock mixture has what those from Gemma 2 on have; `export` says so."""
