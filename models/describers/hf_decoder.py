"""transformers: decoders with the modules of Llama, whatever they add to them.

Llama, Mistral, Qwen2, Qwen3, Gemma 1-3 (text), OLMo 1-3, SmolLM3, StableLM, Granite, Phi-3, GLM4; of mixtures Mixtral,
OLMoE, Qwen2-MoE, Qwen3-MoE, GLM-4-MoE, dots.llm1. Norms after a sub-layer, head norms, windows, multipliers and
parallel residual sums lie outside of what the view names.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..anatomy import (
    MLP,
    Anatomy,
    Attention,
    Block,
    DescribesMLP,
    Site,
    expert_sizes,
    head_of,
    inner_sites,
    see_through,
    stock_experts,
)
from ..anatomy.building import SEPARATE, attention_at, mlp_at
from ..attention.prefixed_attention import through_cache

SERVES = (
    "transformers.models.dots1.modeling_dots1.Dots1PreTrainedModel",
    "transformers.models.gemma.modeling_gemma.GemmaPreTrainedModel",
    "transformers.models.gemma2.modeling_gemma2.Gemma2PreTrainedModel",
    "transformers.models.gemma3.modeling_gemma3.Gemma3ForCausalLM",
    "transformers.models.gemma3.modeling_gemma3.Gemma3TextForSequenceClassification",
    "transformers.models.gemma3.modeling_gemma3.Gemma3TextModel",
    "transformers.models.glm4.modeling_glm4.Glm4PreTrainedModel",
    "transformers.models.glm4_moe.modeling_glm4_moe.Glm4MoePreTrainedModel",
    "transformers.models.granite.modeling_granite.GranitePreTrainedModel",
    "transformers.models.llama.modeling_llama.LlamaPreTrainedModel",
    "transformers.models.mistral.modeling_mistral.MistralPreTrainedModel",
    "transformers.models.mixtral.modeling_mixtral.MixtralPreTrainedModel",
    "transformers.models.olmo.modeling_olmo.OlmoPreTrainedModel",
    "transformers.models.olmo2.modeling_olmo2.Olmo2PreTrainedModel",
    "transformers.models.olmo3.modeling_olmo3.Olmo3PreTrainedModel",
    "transformers.models.olmoe.modeling_olmoe.OlmoePreTrainedModel",
    "transformers.models.phi3.modeling_phi3.Phi3PreTrainedModel",
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
SHARED = ("shared_expert", "shared_experts")
"""Names of the FFN that all tokens pass in addition to the experts."""


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model or of one with a head."""
    return decoder(model, self_attention, feed_forward)


def decoder(model: Any, attention: Callable[[Any], Attention], mlp: Callable[[Any], MLP]) -> Anatomy:
    """The anatomy of a decoder with Llama's names whose layers have what these two functions describe."""
    body = model.base_model
    blocks: list[Block] = []
    for index in range(len(body.layers)):
        site = see_through(body.layers, str(index))
        blocks.append(_block(site, index, attention(site.get()), mlp(site.get())))
    return Anatomy(
        model=model,
        blocks=tuple(blocks),
        width=body.config.hidden_size,
        embeddings=(see_through(body, "embed_tokens"),),
        final_norm=see_through(body, "norm"),
        head=head_of(model, body),
    )


def _block(site: Site, index: int, attention: Attention, mlp: MLP) -> Block:
    layer = site.get()
    norms = {name: see_through(layer, name) for name in NORMS if getattr(layer, name, None) is not None}
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=tuple(norms.values()),
        attention_norms=_own_norms(norms, of_mlp=False),
        mlp_norms=_own_norms(norms, of_mlp=True),
        shared_norms=_shared_norms(norms),
        linears=attention.linears + mlp.linears + _shared_linears(mlp),
    )


def _own_norms(norms: dict[str, Site], *, of_mlp: bool) -> tuple[Site, ...]:
    """The norms of one of the two parts alone."""
    if _shared_norms(norms):
        return ()
    mlp_names = {"pre_feedforward_layernorm", "post_feedforward_layernorm"}
    if not mlp_names & norms.keys():
        # What is called after the attention then lies before the FFN.
        mlp_names.add("post_attention_layernorm")
    mlp_names.add("post_mlp_layernorm")
    return tuple(site for name, site in norms.items() if (name in mlp_names) == of_mlp)


def _shared_norms(norms: dict[str, Site]) -> tuple[Site, ...]:
    """The one norm of a block whose two parts both read its output (StableLM)."""
    if len(norms) > 1:
        return ()
    return tuple(norms.values())


def _shared_linears(mlp: MLP) -> tuple[Site, ...]:
    """The linear layers of the FFN that all tokens pass in addition to the experts."""
    if mlp.experts is None or mlp.experts.shared is None:
        return ()
    return tuple(inner_sites(mlp.experts.shared.get()))


def self_attention(layer: Any) -> Attention:
    """Separate q, k and v, or one matrix (Phi-3)."""
    projections = SEPARATE
    if hasattr(see_through(layer, "self_attn").get(), "qkv_proj"):
        projections = {"qkv": "qkv_proj", "o": "o_proj"}
    return attention_at(
        layer,
        "self_attn",
        projections,
        heads="config.num_attention_heads",
        kv_heads="config.num_key_value_heads",
        prefixed=partial(through_cache, causal=True),
        causal=True,
    )


def feed_forward(layer: Any) -> MLP:
    """A gated FFN with two matrices or one (Phi-3, GLM4) for gate and up, or a mixture."""
    site = see_through(layer, "mlp")
    module = site.get()
    if hasattr(module, "experts") and not isinstance(module, DescribesMLP):
        found = [name for name in SHARED if hasattr(module, name)]
        shared = see_through(module, found[0]) if found else None
        return mixture(site, shared=shared)
    if hasattr(module, "gate_up_proj"):
        return mlp_at(layer, "mlp", {"gate_up": "gate_up_proj", "down": "down_proj"}, "activation_fn")
    return mlp_at(layer, "mlp", {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}, "act_fn")


def mixture(site: Site, *, router: str = "gate", shared: Site | None = None, returns_tuple: bool = False) -> MLP:
    """The module at `site` as a mixture, which holds `experts` and a router of this name."""
    experts = stock_experts(site.get(), router=router, shared=shared)
    width, hidden = expert_sizes(experts)
    return MLP(
        site=site,
        output=site,
        kind="moe",
        width=width,
        hidden=hidden,
        activation=getattr(site.get().experts, "act_fn", None),
        experts=experts,
        returns_tuple=returns_tuple,
    )
