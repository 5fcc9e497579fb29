"""Sites of kinds that reach the whole backbone, not only the linear layers of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn

from ..anatomy import Anatomy, Block, Site, Wrapper, inner_sites
from ..errors import ModelError
from .config import AdapterConfig
from .layer import AdapterLayer


def backbone_sites(anatomy: Anatomy, config: AdapterConfig) -> Iterator[Site]:
    """Where modules with parameters of their own lie, without the heads and what is not of the view, in order.

    All of them if `config.blocks` is "all", else those from the first chosen block on.
    """
    skipped = [site.get() for site in (*anatomy.heads, *anatomy.outside)]
    start = ""
    if config.blocks != "all":
        first = config.chosen(anatomy)[0]
        start = f"{first.site.path}."
    reached = False
    for site in inner_sites(anatomy.model, skipped):
        reached = reached or site.path.startswith(start)
        if reached:
            yield site


def kinds_for(*blocks: Block) -> str:
    """Kinds of adapters that these blocks have a place for, for a message that refuses another kind."""
    kinds: list[str] = []
    if all(block.mlp is not None and block.mlp.kind != "conv" for block in blocks):
        kinds.append("BottleneckConfig")
    if all(block.attention is None and block.convs for block in blocks):
        kinds.append("ConvConfig for a convolutional network")
    if any(block.linears for block in blocks):
        kinds.append("LoRAConfig(targets=('linears',))")
    if not kinds:
        kinds = ["NormTuningConfig", "SSFConfig"]
    return " or ".join(kinds)


def check_no_fused_experts(blocks: Iterable[Block], kind: str) -> None:
    """Raise a `ModelError` where a block has experts whose fused matrices this kind would leave out."""
    for block in blocks:
        experts = None if block.mlp is None else block.mlp.experts
        if experts is not None and experts.tensors:
            raise ModelError(
                f"{kind} has no place in the fused experts of {experts.tensors[0].path}: LoRAConfig("
                "targets=('linears',)) adapts them; to leave them out choose other blocks, or experts=False where the "
                "kind has that"
            )


class AddsTokens(AdapterLayer):
    """Base of layers whose `base_layer` sees more tokens than the model has."""


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm (layer, RMS, batch, group) with a weight for each channel."""
    weight = getattr(module, "weight", None)
    return "norm" in type(module).__name__.lower() and isinstance(weight, nn.Parameter) and weight.ndim == 1


def wrappers_over(model: nn.Module, site: Site) -> Iterator[Wrapper]:
    """The wrappers of `model` that lie around a site, outermost first."""
    module = model
    for hop in site.path.split(".")[:-1]:
        module = getattr(module, hop)
        if isinstance(module, Wrapper):
            yield module
