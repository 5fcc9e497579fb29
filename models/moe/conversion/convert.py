"""Turn the dense feed-forward layers of a model into mixtures of experts."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn

from ...anatomy import describe
from ...calibration.ffn_samples import Calibration
from ...calibration.hooks import FFNSample
from ...errors import ModelError
from ...hub.declaration import declare
from ..config import MoEConfig
from ..experts.bank import check_sizes
from ..layer import MoEFFN
from ..routing.padding import hand_over_masks
from ..routing.router import Router
from ..splits import Partition, SplitInput, partition
from .output_alignment import fit
from .preconditions import FFN, calibration_for, feed_forwards, to_convert
from .restoration import restore
from .router_init import make_router
from .upcycling import reinitialise
from .verification import Expected, check_mixture, check_untied, check_view

Model = TypeVar("Model", bound=nn.Module)


def convert(
    model: Model,
    config: MoEConfig,
    calibration: Calibration | Iterable[Any] | None = None,
    *,
    given: Mapping[int, Partition] | None = None,
) -> Model:
    """Replace the gated or plain FFNs of a model, in place, by mixtures of their own neurons.

    With `config.split` "whole" each expert has all of them, and the model grows by a whole FFN with every expert. The
    router is trainable, like the experts, if the down projection was. Memory stays near that of the model plus one
    layer. Dropout on the outputs of an FFN stays there, in training; dropout on its hidden neurons is refused.

    A few random rows through each FFN and through its experts, all of them on, show that these compute what it did
    (where each neuron is in one expert).

    Args:
        model: a model whose anatomy is known.
        config: every choice: split, sizes, router and its start, scale.
        calibration: what `calibrate` returned (it serves any number of conversions of the same model), or batches, run
            as `model(**batch)` if they are mappings, else as `model(batch)`. `config.needs` says what it is used for;
            only the choice of shared neurons can do without, and is then random.
        given: the blocks of neurons of each FFN that is converted, by the index of its block, where they were decided
            elsewhere; `config.split` then only names how.

    Returns:
        The model.

    Raises:
        ModelError: a block has no FFN that can be cut, is converted already or quantised, computes something else than
            its linear layers and activation say (hooks, a forward of its own), shares weights with another, or has
            fewer neurons than experts; data are missing, empty, not finite or of another model. The model stays as it
            was.

    Example: `convert(model, MoEConfig(num_experts=8, num_shared=2, top_k=2), batches)`.
    """
    generator = torch.Generator().manual_seed(config.seed)
    plans = _plan_all(model, config, calibration, generator, given)
    # What can be refused has been refused by now. What can still fail is memory: then all goes back.
    with ExitStack() as undo:
        if config.attn is not None:
            # This module needs transformers, which the others do not.
            from ..attention.convert_attention import attention_to_dense, mix_heads

            mix_heads(model, config.attn, generator, layers=config.layers)
            undo.callback(attention_to_dense, model)
        while plans:
            # One at a time, and dropped when done, so that only one layer is held twice.
            undo.callback(_swap(model, plans.popleft(), config, generator))
        hand_over_masks(model)
        declare(model, "moe")
        undo.pop_all()
    return model


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """All that is decided for one layer. Its experts are copies of dense neurons and are made when it is swapped.

    `expected` says what the dense layer makes of a few rows. `sample` is kept only where the output of the finished
    layer is fitted to it.
    """

    ffn: FFN
    parts: Partition
    router: Router
    sample: FFNSample | None
    expected: Expected | None


def _plan_all(
    model: nn.Module,
    config: MoEConfig,
    calibration: Calibration | Iterable[Any] | None,
    generator: torch.Generator,
    given: Mapping[int, Partition] | None,
) -> deque[_Plan]:
    anatomy = describe(model)
    ffns = feed_forwards(anatomy)
    chosen = to_convert(anatomy, ffns, config)
    check_untied(model, [ffn.mlp for ffn in chosen])
    expected = {ffn.block: check_view(ffn.mlp, ffn.dense) for ffn in chosen}
    seen = calibration_for(model, ffns, config, calibration)
    if given is not None and given.keys() != expected.keys():
        raise ModelError(f"partitions are given for blocks {sorted(given)}, and {sorted(expected)} are converted")
    parts = given or {}
    return deque(_plan(ffn, config, seen, generator, expected[ffn.block], parts.get(ffn.block)) for ffn in chosen)


@torch.no_grad()
def _plan(
    ffn: FFN,
    config: MoEConfig,
    seen: Calibration | None,
    generator: torch.Generator,
    expected: Expected | None,
    given: Partition | None,
) -> _Plan:
    """Which neurons form which expert, and the router: what needs data and random numbers."""
    dense = ffn.dense
    inp = split_input(ffn, config, seen, generator)
    parts = partition(inp, given)
    check_sizes(parts.sizes, gated=dense.gate is not None, activation=dense.activation)
    router = make_router(config, dense, parts, inp.sample, generator)
    fitted = config.scale == "calibrated" or config.align
    sample = inp.sample if fitted else None
    return _Plan(ffn=ffn, parts=parts, router=router, sample=sample, expected=expected)


def split_input(ffn: FFN, config: MoEConfig, seen: Calibration | None, generator: torch.Generator) -> SplitInput:
    """What a split is given: one FFN, and what calibration saw of it.

    Args:
        ffn: the FFN.
        config: the conversion.
        seen: samples of all FFNs of the model, or None.
        generator: of random numbers.
    """
    return SplitInput(
        neurons=ffn.dense.neurons,
        down=ffn.dense.down,
        sample=None if seen is None else seen.samples[ffn.place],
        document=None if seen is None else seen.document,
        embedding=None if seen is None else seen.embedding,
        config=config,
        generator=generator,
    )


@torch.no_grad()
def _swap(model: nn.Module, plan: _Plan, config: MoEConfig, generator: torch.Generator) -> Callable[[], None]:
    """Put the mixture in the place of the dense layer; return what takes that back."""
    mlp = plan.ffn.mlp
    dense = plan.ffn.dense
    modules = [site.get() for site in mlp.parts]
    layer = _layer(plan, config)
    check_mixture(layer, plan.expected, plan.parts, mlp.site.path)
    if config.reinit:
        reinitialise(layer.experts, config.reinit, generator)
    if plan.sample is not None:
        fit(layer, dense, plan.sample, config)
    layer.train(modules[0].training).requires_grad_(dense.down.requires_grad)
    mlp.replace(layer)
    lost = plan.parts.missing(mlp.hidden)
    if len(lost) or config.split == "whole":
        # Neurons that no expert holds, or that start again at random, cannot come back from the mixture: the dense
        # modules wait until all is done. Otherwise no view may wait, since its sites hold them, too.
        return partial(mlp.replace, *modules)
    return partial(restore, model, plan.ffn.block)


def _layer(plan: _Plan, config: MoEConfig) -> MoEFFN:
    mlp = plan.ffn.mlp
    dense = plan.ffn.dense
    parts = plan.parts
    shared = dense.bank([parts.shared]) if len(parts.shared) else None
    down_bias = None if dense.down_bias is None else dense.down_bias.clone()
    return MoEFFN(
        config=config,
        router=plan.router,
        experts=dense.bank(parts.experts),
        shared=shared,
        down_bias=down_bias,
        neurons=parts.order.to(dense.up.device),
        hidden=mlp.hidden,
        template=tuple(_without_memory(site.get()) for site in mlp.parts),
        dropout=plan.ffn.dropout or 0.0,
    )


def _without_memory(module: nn.Module) -> nn.Module:
    """A copy of a module whose parameters and buffers lie on the meta device."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(module, memo)
