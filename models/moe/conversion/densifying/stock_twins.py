"""The dense model of transformers that is a stock mixture but for its feed-forward layers."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from ....errors import ModelError

TWINS = {"mixtral": "Mistral", "qwen2_moe": "Qwen2", "qwen3_moe": "Qwen3"}
"""`model_type` of a mixture, and what the classes of its dense twin begin with."""
FFN = ".mlp."
"""In the name of every tensor of a feed-forward layer, and of no other."""
_OWN = ("model_type", "architectures", "transformers_version", "auto_map", "intermediate_size")


def twin_name(mixture: Any) -> str:
    """What the classes of a mixture's dense twin begin with. Raises `ModelError` where none is known."""
    kind = getattr(getattr(mixture, "config", None), "model_type", None)
    name = type(mixture).__name__
    if kind not in TWINS or not name.endswith("ForCausalLM"):
        raise ModelError(
            f"no dense architecture of transformers is known that is {name} without experts: only "
            f"{', '.join(TWINS)} with a language head, and what sparsebench.models.moe.convert made, become dense"
        )
    return TWINS[kind]


def dense_twin(mixture: Any, width: int) -> Any:
    """A new dense model with all weights of a stock mixture but those of the FFNs, which are as they are drawn.

    Args:
        mixture: a causal language model of transformers.
        width: hidden neurons of each FFN.

    Returns:
        The model, in the dtype, on the device and in the mode of the mixture.

    Raises:
        ModelError: no dense architecture is known that computes the same, or its tensors are others.
    """
    name = twin_name(mixture)
    transformers = importlib.import_module("transformers")
    config_class = getattr(transformers, f"{name}Config")
    known = config_class().to_dict()
    fields = {key: value for key, value in mixture.config.to_dict().items() if key in known and key not in _OWN}
    like = next(mixture.parameters())
    config = config_class(**fields, intermediate_size=width)
    # Built in its dtype: a cast afterwards would round the frequencies of rotary positions, which stay in float32.
    twin = transformers.AutoModelForCausalLM.from_config(config, dtype=like.dtype)
    twin = twin.to(like.device).train(mixture.training)
    rest = {key: value for key, value in mixture.state_dict().items() if FFN not in key}
    missing, unexpected = twin.load_state_dict(rest, strict=False)
    wrong = [*(key for key in missing if FFN not in key), *unexpected]
    if wrong:
        raise ModelError(f"{name}ForCausalLM is no twin of this {type(mixture).__name__}: {wrong[0]} is in one only")
    twin.generation_config = mixture.generation_config
    return twin


@torch.no_grad()
def check_twin(mixture: nn.Module, twin: Any, places: list[Any], modules: list[nn.Module]) -> None:
    """Raise a `ModelError` unless the twin computes what the mixture does when it has the twin's FFNs.

    Args:
        mixture: the mixture; it is the same afterwards.
        twin: the dense model.
        places: the views of the mixture's FFNs.
        modules: the twin's, in the same order.
    """
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(twin.config.vocab_size, (1, 8), generator=generator).to(next(twin.parameters()).device)
    before = [place.site.get() for place in places]
    try:
        for place, module in zip(places, modules, strict=True):
            place.site.replace(module)
        wanted = mixture(input_ids=ids, use_cache=False).logits.float()
    finally:
        for place, module in zip(places, before, strict=True):
            place.site.replace(module)
    found = twin(input_ids=ids, use_cache=False).logits.float()
    # The same products in the same order, but for the kernel of the attention: a few roundings of the largest logit.
    allowed = 64 * torch.finfo(next(twin.parameters()).dtype).eps * float(wanted.abs().max())
    if not torch.allclose(found, wanted, rtol=0, atol=allowed):
        raise ModelError(f"{type(twin).__name__} does not compute what {type(mixture).__name__} does outside its FFNs")
