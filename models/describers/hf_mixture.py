"""transformers: mixtures whose modules are not all Llama's: DeepSeek-V2 and V3, GPT-OSS, Granite-MoE (shared or not).

DeepSeek compresses queries, keys and values (latent attention, arXiv 2405.04434) and starts with dense blocks. The FFN
of GPT-OSS returns the scores of its router too. Granite's shared FFN stands next to the mixture, in the block.
"""

from typing import Any

from ..anatomy import MLP, Anatomy, Attention, DescribesAttention, DescribesMLP, Site, see_through
from . import hf_decoder

SERVES = (
    "transformers.models.deepseek_v2.modeling_deepseek_v2.DeepseekV2PreTrainedModel",
    "transformers.models.deepseek_v3.modeling_deepseek_v3.DeepseekV3PreTrainedModel",
    "transformers.models.gpt_oss.modeling_gpt_oss.GptOssPreTrainedModel",
    "transformers.models.granitemoe.modeling_granitemoe.GraniteMoePreTrainedModel",
    "transformers.models.granitemoeshared.modeling_granitemoeshared.GraniteMoeSharedPreTrainedModel",
)
LATENT = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj")
"""Linear layers of latent attention. Small models have `q_proj` in the place of the first two."""


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model or of one with a head."""
    kind = model.base_model.config.model_type
    if kind.startswith("deepseek"):
        return hf_decoder.decoder(model, _latent_attention, hf_decoder.feed_forward)
    if kind == "gpt_oss":
        return hf_decoder.decoder(model, hf_decoder.self_attention, _gpt_oss)
    return hf_decoder.decoder(model, hf_decoder.self_attention, _granite)


def _latent_attention(layer: Any) -> Attention:
    """A cache holds the compressed keys and values, so that no prefix of whole ones fits in."""
    site = see_through(layer, "self_attn")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    names = [name for name in LATENT if getattr(module, name, None) is not None]
    return Attention(
        site=site,
        q=None if module.q_proj is None else see_through(module, "q_proj"),
        latent=tuple(see_through(module, name) for name in names),
        o=see_through(module, "o_proj"),
        num_heads=module.num_heads,
        num_kv_heads=module.num_heads,
        head_dim=module.qk_head_dim,
        causal=True,
    )


def _gpt_oss(layer: Any) -> MLP:
    site = see_through(layer, "mlp")
    if isinstance(site.get(), DescribesMLP):
        return site.get().describe_mlp(site, site, None)
    return hf_decoder.mixture(site, router="router", returns_tuple=True)


def _granite(layer: Any) -> MLP:
    site = see_through(layer, "block_sparse_moe")
    if isinstance(site.get(), DescribesMLP):
        return site.get().describe_mlp(site, site, None)
    shared: Site | None = None
    if getattr(layer, "shared_mlp", None) is not None:
        shared = see_through(layer, "shared_mlp")
    return hf_decoder.mixture(site, router="router", shared=shared)
