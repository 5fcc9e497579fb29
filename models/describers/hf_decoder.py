"""transformers: decoders with the modules of Llama, whatever they add to them.

Llama, Mistral, Qwen2, Qwen3, Gemma 1-3 (text), OLMo 1-3, SmolLM3, StableLM, Granite; of mixtures Mixtral, OLMoE,
Qwen2-MoE, Qwen3-MoE, GLM-4-MoE, dots.llm1. Norms after a sub-layer, head norms, windows, multipliers and parallel
residual sums lie outside of what the view names.
"""

from functools import partial
from typing import Any

from torch import nn

from ..anatomy import (
    MLP,
    Anatomy,
    Attention,
    Block,
    DescribesAttention,
    DescribesMLP,
    Site,
    expert_sizes,
    head_of,
    see_through,
    stock_experts,
)
from ..attention.prefixed_attention import through_cache

SERVES = (
    "transformers.models.dots1.modeling_dots1.Dots1PreTrainedModel",
    "transformers.models.gemma.modeling_gemma.GemmaPreTrainedModel",
    "transformers.models.gemma2.modeling_gemma2.Gemma2PreTrainedModel",
    "transformers.models.gemma3.modeling_gemma3.Gemma3ForCausalLM",
    "transformers.models.gemma3.modeling_gemma3.Gemma3TextForSequenceClassification",
    "transformers.models.gemma3.modeling_gemma3.Gemma3TextModel",
    "transformers.models.glm4_moe.modeling_glm4_moe.Glm4MoePreTrainedModel",
    "transformers.models.granite.modeling_granite.GranitePreTrainedModel",
    "transformers.models.llama.modeling_llama.LlamaPreTrainedModel",
    "transformers.models.mistral.modeling_mistral.MistralPreTrainedModel",
    "transformers.models.mixtral.modeling_mixtral.MixtralPreTrainedModel",
    "transformers.models.olmo.modeling_olmo.OlmoPreTrainedModel",
    "transformers.models.olmo2.modeling_olmo2.Olmo2PreTrainedModel",
    "transformers.models.olmo3.modeling_olmo3.Olmo3PreTrainedModel",
    "transformers.models.olmoe.modeling_olmoe.OlmoePreTrainedModel",
    "transformers.models.qwen2.modeling_qwen2.Qwen2PreTrainedModel",
    "transformers.models.qwen2_moe.modeling_qwen2_moe.Qwen2MoePreTrainedModel",
    "transformers.models.qwen3.modeling_qwen3.Qwen3PreTrainedModel",
    "transformers.models.qwen3_moe.modeling_qwen3_moe.Qwen3MoePreTrainedModel",
    "transformers.models.smollm3.modeling_smollm3.SmolLM3PreTrainedModel",
    "transformers.models.stablelm.modeling_stablelm.StableLmPreTrainedModel",
)
NORMS = (
    "input_layernorm",
    "post_self_attn_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
    "post_mlp_layernorm",
)
"""Names of the norms of a block, in the order of their use; every family has some of them."""


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model or of one with a head."""
    body = model.base_model
    return Anatomy(
        model=model,
        blocks=tuple(_block(body.layers, index) for index in range(len(body.layers))),
        width=body.config.hidden_size,
        embeddings=(see_through(body, "embed_tokens"),),
        final_norm=see_through(body, "norm"),
        head=head_of(model, body),
    )


def _block(layers: nn.ModuleList, index: int) -> Block:
    site = see_through(layers, str(index))
    layer = site.get()
    attention, mlp = _attention(layer), _mlp(layer)
    norms = {name: see_through(layer, name) for name in NORMS if getattr(layer, name, None) is not None}
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=tuple(norms.values()),
        attention_norms=_own_norms(norms, of_mlp=False),
        mlp_norms=_own_norms(norms, of_mlp=True),
        linears=attention.linears + mlp.linears,
    )


def _own_norms(norms: dict[str, Site], *, of_mlp: bool) -> tuple[Site, ...] | None:
    """The norms of one of the two parts; None where both read the output of the same norm (StableLM)."""
    if len(norms) == 1:
        return None
    mlp_names = {"pre_feedforward_layernorm", "post_feedforward_layernorm"}
    if not mlp_names & norms.keys():
        # What is called after the attention then lies before the FFN.
        mlp_names.add("post_attention_layernorm")
    mlp_names.add("post_mlp_layernorm")
    return tuple(site for name, site in norms.items() if (name in mlp_names) == of_mlp)


def _attention(layer: Any) -> Attention:
    site = see_through(layer, "self_attn")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    config = module.config
    return Attention(
        site=site,
        q=see_through(module, "q_proj"),
        k=see_through(module, "k_proj"),
        v=see_through(module, "v_proj"),
        o=see_through(module, "o_proj"),
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=module.head_dim,
        prefixed=partial(through_cache, causal=True),
        causal=True,
    )


def _mlp(layer: Any) -> MLP:
    site = see_through(layer, "mlp")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    if hasattr(module, "experts"):
        return _experts(site)
    up = see_through(module, "up_proj")
    return MLP(
        site=site,
        output=site,
        kind="gated",
        gate=see_through(module, "gate_proj"),
        up=up,
        down=see_through(module, "down_proj"),
        activation=module.act_fn,
        width=up.get().in_features,
        hidden=up.get().out_features,
    )


def _experts(site: Site) -> MLP:
    module = site.get()
    found = [name for name in ("shared_expert", "shared_experts") if hasattr(module, name)]
    shared = see_through(module, found[0]) if found else None
    experts = stock_experts(module, shared=shared)
    width, hidden = expert_sizes(experts)
    activation = module.experts.act_fn
    return MLP(site=site, output=site, kind="moe", width=width, hidden=hidden, activation=activation, experts=experts)
