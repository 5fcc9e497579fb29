"""Routers at the start: at random, or made from the weights and activations of the dense layer."""

from __future__ import annotations

import torch
from torch import Tensor

from ..calibration.ffn_samples import FFNSample
from .config import MoEConfig
from .dense_ffn import DenseFFN
from .routing.router import GLURouter, LinearRouter, MLPRouter, Router
from .splits import Partition

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
    n, d = config.num_routed, dense.up.shape[1]
    if config.router == "glu":
        return _glu(config, dense, parts)
    if config.router == "mlp":
        output = torch.zeros(n, n) if config.router_init == "zeros" else _random(n, n, generator)
        return MLPRouter(config, _random(n, d, generator).to(dense.up), output.to(dense.up))
    return LinearRouter(config, _rows(config, dense, parts, sample, generator).to(dense.up))


def _rows(
    config: MoEConfig, dense: DenseFFN, parts: Partition, sample: FFNSample | None, generator: torch.Generator
) -> Tensor:
    n, d = config.num_routed, dense.up.shape[1]
    if config.router_init == "energy":
        assert sample is not None
        return energy_rows(sample, dense.down_norm, parts.experts)
    if config.router_init == "centroids":
        assert parts.centroids is not None, "the config checks that the split has them"
        return parts.centroids
    if config.router_init == "analytic":
        rows = dense.up if dense.gate is None else dense.gate
        return torch.stack([rows[neurons.to(rows.device)].mean(0) for neurons in parts.experts])
    return torch.zeros(n, d) if config.router_init == "zeros" else _random(n, d, generator)


def _random(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, columns, generator=generator) * STD


def _glu(config: MoEConfig, dense: DenseFFN, parts: Partition) -> GLURouter:
    assert parts.representatives is not None, "every split names them for this router"
    neurons = parts.representatives.to(dense.up.device)
    gate, up, gate_bias, up_bias = (
        None if tensor is None else tensor[neurons].clone()
        for tensor in (dense.gate, dense.up, dense.gate_bias, dense.up_bias)
    )
    assert up is not None
    return GLURouter(config, gate=gate, up=up, gate_bias=gate_bias, up_bias=up_bias, activation=dense.activation)


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
        columns.append((h_TF[:, neurons].to(dtype) * down_norm[neurons].to(dtype)).square().sum(1))
    return torch.stack(columns, dim=1)
