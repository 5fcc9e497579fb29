"""Routers at the start: at random, or made from the weights and activations of the dense layer."""

from __future__ import annotations

import torch
from torch import Tensor

from ...calibration.ffn_samples import FFNSample
from ..config import MoEConfig
from ..routing.router import GLURouter, LinearRouter, MLPRouter, Router
from ..splits import Partition
from .dense_ffn import DenseFFN

# Shapes: T tokens, D width, F hidden neurons, N routed experts.

STD = 0.02
"""Standard deviation of random router weights."""


def make_router(
    config: MoEConfig, dense: DenseFFN, parts: Partition, sample: FFNSample | None, generator: torch.Generator
) -> Router:
    """The router `config.router`, started as `config.router_init` says:

    - "random": every matrix N(0, 0.02^2). "zeros": logits are 0 (of the MLP, the last matrix is 0).
    - "energy": `energy_rows`. "centroids": the centroid of an expert's cluster of FFN inputs (v2).
    - "analytic": linear: mean gate (without a gate, up) row of an expert; glu: a copy of its most typical neuron.
    """
    if config.router == "glu":
        return _glu(config, dense, parts)
    if config.router == "mlp":
        return _mlp(config, dense, generator)
    rows_ND = _rows(config, dense, parts, sample, generator)
    return LinearRouter(config, rows_ND.to(dense.up))


def _rows(
    config: MoEConfig, dense: DenseFFN, parts: Partition, sample: FFNSample | None, generator: torch.Generator
) -> Tensor:
    if config.router_init == "energy":
        assert sample is not None
        return energy_rows(sample, dense.down_norm, parts.experts)
    if config.router_init == "centroids":
        assert parts.centroids is not None, "the config checks that the split has them"
        return parts.centroids
    if config.router_init == "analytic":
        rows = dense.up if dense.gate is None else dense.gate
        return torch.stack([rows[neurons.to(rows.device)].mean(0) for neurons in parts.experts])
    if config.router_init == "zeros":
        return torch.zeros(config.num_routed, dense.up.shape[1])
    return _random(config.num_routed, dense.up.shape[1], generator)


def _random(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, columns, generator=generator) * STD


def _mlp(config: MoEConfig, dense: DenseFFN, generator: torch.Generator) -> MLPRouter:
    experts = config.num_routed
    # The last matrix is drawn first: the order decides what a seed gives.
    if config.router_init == "zeros":
        output_NN = torch.zeros(experts, experts)
    else:
        output_NN = _random(experts, experts, generator)
    hidden_ND = _random(experts, dense.up.shape[1], generator)
    return MLPRouter(config, hidden_ND.to(dense.up), output_NN.to(dense.up))


def _glu(config: MoEConfig, dense: DenseFFN, parts: Partition) -> GLURouter:
    assert parts.representatives is not None, "every split names them for this router"
    neurons = parts.representatives.to(dense.up.device)
    return GLURouter(
        config,
        gate=None if dense.gate is None else dense.gate[neurons],
        up=dense.up[neurons],
        gate_bias=None if dense.gate_bias is None else dense.gate_bias[neurons],
        up_bias=None if dense.up_bias is None else dense.up_bias[neurons],
        activation=dense.activation,
    )


def energy_rows(sample: FFNSample, down_norm: Tensor, experts: tuple[Tensor, ...]) -> Tensor:
    """Router rows (N, D): the mean FFN input weighted by an expert's energy, minus the plain mean input.

    w_e = sum_t a_te x_t / sum_t a_te - mean_t x_t, with a_te = sum of (h_ti ||W_down[:, i]||)^2 over neurons i of
    expert e. So the logit of an expert grows along the directions of the inputs on which it is strong.
    """
    dtype = torch.promote_types(sample.x.dtype, torch.float32)
    x_TD = sample.x.to(dtype)
    energy_TN = _energy(sample.h, down_norm, experts)
    total_N1 = energy_TN.sum(0).unsqueeze(1).clamp_min(torch.finfo(dtype).tiny)
    return energy_TN.T @ x_TD / total_N1 - x_TD.mean(0)


def _energy(h_TF: Tensor, down_norm: Tensor, experts: tuple[Tensor, ...]) -> Tensor:
    dtype = torch.promote_types(h_TF.dtype, torch.float32)
    columns = []
    for neurons in experts:
        neurons = neurons.to(h_TF.device)
        size = h_TF[:, neurons].to(dtype) * down_norm[neurons].to(dtype)
        columns.append(size.square().sum(1))
    return torch.stack(columns, dim=1)
