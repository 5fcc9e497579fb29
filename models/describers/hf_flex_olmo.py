"""transformers: FlexOlmo, the mixture of OLMo 2, which is a decoder with Llama's names as well."""

from .hf_decoder import describe

SERVES = ("transformers.models.flex_olmo.modeling_flex_olmo.FlexOlmoPreTrainedModel",)

__all__ = ["SERVES", "describe"]
