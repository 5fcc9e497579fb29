"""The language model of ModuleFormer (arXiv 2306.04640) as one of transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedModel, initialization
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import MoeCausalLMOutputWithPast

from ..anatomy import register_describer
from ..errors import ModelError
from ..moe.experts import ExpertBank
from ..moe.routing.choices import Routing
from ..moe.routing.router import Router
from .anatomy import describe
from .attention import StickBreakingAttention
from .configuration import MoLMConfig
from .routers import balance_loss, make_router

# Shapes: B rows, T new tokens, L tokens with those of the cache, D width, V words.

__all__ = ["MoLMConfig", "MoLMForCausalLM"]
UNKNOWN = ("token_type_ids", "output_attentions", "output_hidden_states")
"""Arguments of other models of transformers that would change what is computed or given here."""
CACHE = "cache" if "cache" in MoeCausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"
"""What the installed transformers calls keys and values in its outputs."""


class Mixture(nn.Module):
    """y = sum over the k chosen experts of p_e E_e(x), with p_e the probability among all; no gate, no bias."""

    def __init__(self, config: MoLMConfig) -> None:
        super().__init__()
        shape = (config.num_experts, config.intermediate_size, config.hidden_size)
        self.router = make_router(config, config.num_experts, config.num_experts_per_tok)
        self.experts = ExpertBank(
            sizes=[config.intermediate_size] * config.num_experts,
            gate_up=torch.empty(shape),
            down=torch.empty(shape[0], shape[2], shape[1]),
            bias=None,
            gated=False,
            activation=ACT2FN[config.hidden_act],
        )

    def forward(self, x_BTD: Tensor) -> tuple[Tensor, Routing]:
        """Output (B, T, D), and where the tokens went."""
        x_TD = x_BTD.flatten(0, 1)
        routing = self.router(x_TD)
        return self.experts(x_TD, routing.index, routing.weight).view_as(x_BTD), routing


class Layer(nn.Module):
    """Attention and FFN, both mixtures, each after a layer norm and added to its input."""

    def __init__(self, config: MoLMConfig, layer_idx: int) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size)
        self.self_attn = StickBreakingAttention(config, layer_idx)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size)
        self.mlp = Mixture(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x_BTD: Tensor, see: Tensor, cache: Cache | None
    ) -> tuple[Tensor, tuple[Routing | None, Routing | None]]:
        """Hidden states (B, T, D), and where the tokens went in attention and FFN; None of one that was removed."""
        out_BTD, heads = self.self_attn(self.input_layernorm(x_BTD), see=see, cache=cache)
        x_BTD = x_BTD + self.dropout(out_BTD)
        out_BTD, neurons = self.mlp(self.post_attention_layernorm(x_BTD))
        return x_BTD + self.dropout(out_BTD), (heads, neurons)


class MoLMForCausalLM(PreTrainedModel, GenerationMixin):
    """`embed_tokens`, `layers`, `norm` and `lm_head`."""

    config: MoLMConfig
    config_class = MoLMConfig
    base_model_prefix = "model"
    _no_split_modules = ["Layer"]  # noqa: RUF012 - transformers' own name and type
    _skip_keys_device_placement = ["cache"]  # noqa: RUF012 - the same

    def __init__(self, config: MoLMConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """A few token ids, on the model's device."""
        ids_BT = torch.arange(2 * 8, device=self.device).view(2, 8) * 7 % self.config.vocab_size
        return {"input_ids": ids_BT}

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cache: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> MoeCausalLMOutputWithPast:
        """Logits of the next token.

        Args:
            input_ids: (B, T).
            attention_mask: (B, L), 0 for padding, which may be on either side.
            cache: keys and values of earlier tokens; it gets the new ones.
            inputs_embeds: (B, T, D), in the place of `input_ids`.
            labels: (B, T), -100 for none: the loss is that of the tokens and `balance_weight` times `aux_loss`.
            use_cache: whether to make a cache where there is none; by default as configured, and never in training.
            logits_to_keep: only for so many of the last tokens; 0: all.
            past_key_values: another name of `cache`.
            kwargs: as of other models of transformers; `num_items_in_batch` counts the labels of a whole step.

        Returns:
            `logits` (B, T, V) in float32 or better, the cache, and in training or with labels in `aux_loss` the sum of
            the losses of all routers, padding not counted.

        Raises:
            ModelError: a mask of another shape, a cache of fixed size, or an argument that is not known here.
        """
        for name in UNKNOWN:
            given = kwargs.pop(name, None)
            if given is not None and given is not False:
                raise ModelError(f"a MoLM knows no {name}: call it without")
        cache = past_key_values if cache is None else cache
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and cache is None:
            cache = DynamicCache(config=self.config)
        x_BTD = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        x_BTD, routings = self._through_layers(x_BTD, attention_mask, cache)
        logits = self.lm_head(x_BTD[:, -logits_to_keep:])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = None
        aux_loss = None
        if self.training or labels is not None:
            aux_loss = self._balance(routings, attention_mask, x_BTD.shape[1])
        if labels is not None:
            assert aux_loss is not None
            loss = self.loss_function(logits, labels, self.config.vocab_size, **kwargs)
            loss = loss + self.config.balance_weight * aux_loss
        made: dict[str, Any] = {CACHE: cache}
        return MoeCausalLMOutputWithPast(loss=loss, aux_loss=aux_loss, logits=logits, **made)

    def _through_layers(self, x_BTD: Tensor, mask: Tensor | None, cache: Cache | None) -> tuple[Tensor, list[Routing]]:
        """Normed hidden states (B, T, D), and where the tokens went in all mixtures."""
        see = self._visible(x_BTD, mask, cache)
        x_BTD = self.dropout(x_BTD)
        routings: list[Routing] = []
        for layer in self.layers:
            x_BTD, found = layer(x_BTD, see, cache)
            routings += (routing for routing in found if routing is not None)
        return self.norm(x_BTD), routings

    def _visible(self, x_BTD: Tensor, mask: Tensor | None, cache: Cache | None) -> Tensor:
        """Which keys a token sees, (B or 1, 1, T, L), as the blocks of transformers have it."""
        new = x_BTD.shape[1]
        length = new
        if cache is not None:
            if cache.is_compileable:
                raise ModelError(f"a MoLM cannot fill a {type(cache).__name__}: use a DynamicCache")
            length += cache.get_seq_length()
        see = torch.ones(1, 1, new, length, dtype=torch.bool, device=x_BTD.device).tril(length - new)
        if mask is None:
            return see
        if mask.shape != (len(x_BTD), length):
            raise ModelError(f"attention_mask has the shape {tuple(mask.shape)}: {(len(x_BTD), length)} is known here")
        return see & mask.bool()[:, None, None]

    def _balance(self, routings: list[Routing], mask: Tensor | None, new: int) -> Tensor:
        """The sum of the losses of all routers on the `new` tokens of each row, of real ones alone."""
        if mask is not None:
            real_T = mask[:, -new:].bool().flatten()
            routings = [routing.of(real_T) for routing in routings]
        return torch.stack([balance_loss(self.config.balance, routing) for routing in routings]).sum()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Start weights that are not loaded; those of experts and routers as all others."""
        super()._init_weights(module)
        if isinstance(module, StickBreakingAttention | ExpertBank | Router):
            for value in module.parameters(recurse=False):
                if value.dim() > 1:
                    initialization.normal_(value, std=self.config.initializer_range)
                else:
                    initialization.zeros_(value)


register_describer(MoLMForCausalLM, describe)
AutoConfig.register(MoLMConfig.model_type, MoLMConfig, exist_ok=True)
AutoModelForCausalLM.register(MoLMConfig, MoLMForCausalLM, exist_ok=True)
