"""What several models give to one mixture: FFNs of equal shape as its experts, and the mean of everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...anatomy import describe
from ...errors import ModelError
from ..config import MoEConfig
from ..conversion.dense_ffn import DenseFFN
from ..conversion.preconditions import FFN, feed_forwards, to_convert
from ..conversion.verification import check_view
from ..experts.bank import ExpertBank
from ..layer import MoEFFN

MATRICES = ("gate", "up", "down", "gate_bias", "up_bias", "down_bias")

# Shapes: N experts, D width, F hidden neurons.


def matching_ffns(base: nn.Module, ours: list[FFN], model: nn.Module, number: int, config: MoEConfig) -> list[DenseFFN]:
    """The FFNs of a model, the `number`-th, in the places of ours, with our dtype and device.

    Raises `ModelError` where they are not of the shape of ours, or cannot be an expert.
    """
    who = f"model {number} ({type(model).__name__})"
    anatomy = describe(model)
    blocks = len(describe(base).blocks)
    if len(anatomy.blocks) != blocks:
        raise ModelError(f"{who} has {len(anatomy.blocks)} blocks, the base ({type(base).__name__}) {blocks}")
    found = []
    for own, other in zip(ours, to_convert(anatomy, feed_forwards(anatomy), config), strict=True):
        theirs = other.dense
        check_view(other.mlp, theirs)
        _check_same_shape(own.dense, theirs, f"{who}: {other.mlp.site.path}")
        found.append(_cast(theirs, own.dense.down))
    return found


def _check_same_shape(ours: DenseFFN, theirs: DenseFFN, where: str) -> None:
    for name in MATRICES:
        wanted = _shape(getattr(ours, name))
        found = _shape(getattr(theirs, name))
        if found != wanted:
            raise ModelError(f"{where}: {name} is {found}, that of the base {wanted}: only equal shapes can be merged")
    values = torch.linspace(-4, 4, 33)
    if not torch.allclose(ours.activation(values), theirs.activation(values)):
        raise ModelError(f"{where} has another activation than the base: experts of one mixture share theirs")


def _shape(tensor: Tensor | None) -> str:
    if tensor is None:
        return "missing"
    return " x ".join(str(size) for size in tensor.shape)


def _cast(ffn: DenseFFN, like: Tensor) -> DenseFFN:
    changed = {}
    for name in MATRICES:
        tensor = getattr(ffn, name)
        changed[name] = None if tensor is None else tensor.detach().to(like)
    return replace(ffn, **changed)


def check_down_biases(ours: list[FFN], theirs: list[list[DenseFFN]]) -> None:
    """Raise `ModelError` where down projections have different biases that no neuron can hold."""
    for place, ffn in enumerate(ours):
        ffns = [model[place] for model in theirs]
        if _down_biases_differ(ffns) and ffns[0].up_bias is None:
            raise ModelError(
                f"{ffn.mlp.site.path}: the models differ in the bias of the down projection, and without a bias of the "
                "up projection no neuron can hold it"
            )


def _down_biases_differ(ffns: Sequence[DenseFFN]) -> bool:
    first = ffns[0].down_bias
    if first is None:
        return False
    return any(ffn.down_bias is not None and not torch.equal(ffn.down_bias, first) for ffn in ffns)


@torch.no_grad()
def put_experts(layer: MoEFFN, ffns: Sequence[DenseFFN]) -> None:
    """Put FFNs in the places of the copies that are the experts of a layer.

    Its one bias becomes the mean of theirs, and what each differs from it goes to one more neuron of its expert.
    """
    if layer.down_bias is not None:
        mean_D = _mean([ffn.down_bias for ffn in ffns if ffn.down_bias is not None])
        layer.down_bias.copy_(mean_D)
        if _down_biases_differ(ffns):
            ffns = [_with_bias_neuron(ffn, layer.down_bias) for ffn in ffns]
    size = ffns[0].down.shape[1]
    alone = [ffn.bank([torch.arange(size)]) for ffn in ffns]
    biases: list[Tensor] = [bank.bias for bank in alone if bank.bias is not None]
    old = layer.experts
    bank = ExpertBank(
        sizes=[size] * len(ffns),
        gate_up=torch.cat([bank.gate_up for bank in alone]),
        down=torch.cat([bank.down for bank in alone]),
        bias=torch.cat(biases) if biases else None,
        gated=old.gated,
        activation=old.activation,
    )
    layer.experts = bank.train(old.training).requires_grad_(old.down.requires_grad)
    layer.neurons = torch.arange(len(ffns) * size, device=layer.neurons.device) % size


def _with_bias_neuron(ffn: DenseFFN, mean_D: Tensor) -> DenseFFN:
    """With a neuron of weights 0 and bias 1, whose value is act(1): its column is the bias less the mean, over that."""
    assert ffn.down_bias is not None and ffn.up_bias is not None
    value = ffn.activation(ffn.up_bias.new_ones(1))
    column_D1 = ((ffn.down_bias - mean_D) / value).unsqueeze(1)
    gate = None
    gate_bias = None
    if ffn.gate is not None:
        gate = _one_more(ffn.gate, 0.0)
        gate_bias = _one_more(torch.zeros_like(ffn.up_bias) if ffn.gate_bias is None else ffn.gate_bias, 1.0)
    return replace(
        ffn,
        gate=gate,
        up=_one_more(ffn.up, 0.0),
        down=torch.cat((ffn.down, column_D1), dim=1),
        gate_bias=gate_bias,
        up_bias=_one_more(ffn.up_bias, 1.0),
    )


def _one_more(rows: Tensor, value: float) -> Tensor:
    return torch.cat((rows, rows.new_full((1, *rows.shape[1:]), value)))


class Average(NamedTuple):
    """A tensor of the base, and the tensors of all models whose mean it becomes."""

    target: Tensor
    sources: list[Tensor]


def to_average(base: nn.Module, ours: list[FFN], models: Sequence[nn.Module]) -> list[Average]:
    """Everything that is stored but the FFNs that become experts. Raises `ModelError` for what has no equal shape."""
    inside: set[int] = set()
    for ffn in ours:
        for site in ffn.mlp.linears:
            inside |= {id(parameter) for parameter in site.get().parameters()}
    named = [dict(_stored(model)) for model in models]
    found = []
    for name, target in _stored(base):
        if id(target) in inside:
            continue
        sources = []
        for number, tensors in enumerate(named, start=1):
            shape = _shape(tensors.get(name))
            if shape != _shape(target):
                raise ModelError(
                    f"model {number} ({type(models[number - 1]).__name__}): {name} is {shape}, in the base "
                    f"{_shape(target)}: only equal shapes have a mean; rest='base' needs equal FFNs alone"
                )
            sources.append(tensors[name])
        found.append(Average(target, sources))
    return found


def _stored(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers of real numbers, tied ones once."""
    stored = model.state_dict().keys()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name in stored and tensor.is_floating_point():
            yield name, tensor


@torch.no_grad()
def write_means(averages: Sequence[Average]) -> None:
    """Write the means into the tensors of the base."""
    for target, sources in averages:
        target.copy_(_mean(sources))


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """The mean, in float32 or better. Written as a step from the first one, it is exact where all are equal."""
    first = tensors[0].detach().to(torch.promote_types(tensors[0].dtype, torch.float32))
    steps = [tensor.detach().to(first) - first for tensor in tensors]
    return first + torch.stack(steps).mean(0)
