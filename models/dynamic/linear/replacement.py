"""Mixtures in the place of the linear layers of a model, found through its anatomy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ...anatomy import MLP, Anatomy, Block, Site, Wrapper, describe, linear_view
from ...errors import ModelError
from ...evaluation import evaluation_mode
from ..layer import DynamicLayer
from .config import FFN_TARGETS, MixtureConfig
from .mixture import MixtureLinear
from .token_masks import hand_over

ROWS = 4
"""Random rows that go through an FFN before and after."""


def make_linears_dynamic(model: nn.Module, config: MixtureConfig) -> None:
    """Put a `MixtureLinear` in the place of each linear layer that `config` names, in place.

    With copied experts the model computes at first what it did, which a few random rows through each FFN show.

    Raises `ModelError`, and leaves the model as it was, where a layer is not a plain linear one, is used in several
    places, lies below an adapter or is read by a module that does not call it, where an FFN is a mixture of experts
    already, and for sentences in a causal model.
    """
    anatomy = describe(model)
    blocks = _chosen_blocks(anatomy, config)
    if config.level == "sentence" and any(block.attention and block.attention.causal for block in blocks):
        raise ModelError("level='sentence' shows a causal model the tokens to come: take level='token'")
    chosen = {block.index: _targets(block, config) for block in blocks}
    sites = [site for found in chosen.values() for site in found]
    if not sites:
        raise ModelError(f"{type(model).__name__} has no linear layer by the names {', '.join(config.targets)}")
    _check(anatomy, sites)
    _replace(blocks, sites, config)
    for block in blocks:
        hand_over(block, [site.path.removeprefix(f"{block.site.path}.") for site in chosen[block.index]])


def _chosen_blocks(anatomy: Anatomy, config: MixtureConfig) -> list[Block]:
    if isinstance(config.blocks, str):
        return list(anatomy.blocks)
    unknown = sorted(set(config.blocks) - set(range(len(anatomy.blocks))))
    if unknown or not config.blocks:
        raise ModelError(f"blocks={config.blocks}: the model has blocks 0..{len(anatomy.blocks) - 1}")
    return [anatomy.blocks[index] for index in sorted(set(config.blocks))]


def _targets(block: Block, config: MixtureConfig) -> list[Site]:
    """The linear sites of a block that the configuration names, in the order of the anatomy."""
    found: list[Site] = []
    mlp = block.mlp
    if mlp is not None and mlp.kind != "conv" and set(config.targets) & set(FFN_TARGETS):
        if mlp.kind == "moe":
            raise ModelError(f"{mlp.site.path} is a mixture of experts already")
        found += _ffn_targets(mlp, config.targets)
    if block.attention is not None:
        for name in ("q", "k", "v", "qkv", "o"):
            site = getattr(block.attention, name)
            if name in config.targets and site is not None:
                found.append(site)
    return found


def _ffn_targets(mlp: MLP, targets: tuple[str, ...]) -> list[Site]:
    fused = {"gate", "up"} & set(targets)
    if mlp.gate_up is not None and len(fused) == 1:
        raise ModelError(f"{mlp.gate_up.path} is gate and up in one matrix: name both in targets, or neither")
    found: list[Site] = []
    for name in FFN_TARGETS:
        site = getattr(mlp, name)
        if name in targets and site is not None:
            found.append(site)
    if mlp.gate_up is not None and fused:
        found.insert(0, mlp.gate_up)
    return found


def _check(anatomy: Anatomy, sites: list[Site]) -> None:
    """Raise a `ModelError` where a mixture would not do in the place of one of these layers."""
    uncalled = {id(site.get()) for site in anatomy.uncalled}
    uses = Counter(id(value) for _, value in anatomy.model.named_parameters(remove_duplicate=False))
    for site in sites:
        linear = site.get()
        if isinstance(linear, DynamicLayer):
            raise ModelError(f"{site.path} is a {type(linear).__name__} already")
        if isinstance(site.parent, Wrapper):
            raise ModelError(f"an adapter lies around {site.path}: make the model dynamic first, then attach it")
        linear_view(linear, site.path, "a linear mixture")
        if id(linear) in uncalled:
            raise ModelError(f"the weight of {site.path} is read by the module that holds it, which never calls it")
        if max(uses[id(parameter)] for parameter in linear.parameters()) > 1:
            raise ModelError(f"the weight of {site.path} is used in several places: a mixture stands in one")


def _replace(blocks: Iterable[Block], sites: Iterable[Site], config: MixtureConfig) -> None:
    """Put the mixtures in; where the FFNs do not compute what they did, though they should, take them out again."""
    mlps: list[MLP] = []
    if config.expert_init == "copy" and config.noise == 0 and set(config.targets) & set(FFN_TARGETS):
        mlps = [block.mlp for block in blocks if block.mlp is not None and block.mlp.kind != "conv"]
    expected = [_outputs(mlp) for mlp in mlps]
    old = [(site, site.get()) for site in sites]
    generator = torch.Generator().manual_seed(config.seed)
    try:
        for site, linear in old:
            layer = MixtureLinear.of(linear_view(linear, site.path), config, generator)
            site.replace(layer.train(linear.training))
        for mlp, y in zip(mlps, expected, strict=True):
            _check_same(mlp, y)
    except BaseException:
        for site, linear in old:
            site.replace(linear)
        raise


@torch.no_grad()
def _outputs(mlp: MLP) -> Tensor:
    """What an FFN makes of random rows (1, rows, width) in evaluation."""
    modules = [site.get() for site in mlp.parts]
    parameter = next(parameter for module in modules for parameter in module.parameters())
    y = torch.randn(1, ROWS, mlp.width, generator=torch.Generator().manual_seed(0)).to(parameter)
    try:
        with evaluation_mode(*modules):
            for module in modules:
                y = module(y)
    except AttributeError as error:
        raise ModelError(f"{mlp.site.path} reads more of its linear layers than their output: {error}") from error
    return y


def _check_same(mlp: MLP, expected: Tensor) -> None:
    if expected.is_meta:
        return
    found = _outputs(mlp)
    allowed = 64 * torch.finfo(expected.dtype).eps * expected.abs().max()
    if found.shape != expected.shape or bool(((found - expected).abs() > allowed).any()):
        raise ModelError(f"{mlp.site.path} does not compute the same with mixtures in the place of its linear layers")
