"""Routers at the start: at random, or made from the weights and activations of the dense layer."""

from __future__ import annotations

import torch
from torch import Tensor

from ...calibration.ffn_samples import FFNSample
from ..config import MoEConfig
from ..routing.kinds import router_class
from ..routing.router import Router
from ..routing.start import Neurons, RouterStart, drawn
from ..splits import Partition
from .dense_ffn import DenseFFN

# Shapes: T tokens, D width, F hidden neurons, N routed experts.

RIDGE = 1e-2
"""Of the regression of "regressed", as a fraction of the mean square of an input channel."""
SPREAD = 0.1
"""Root mean square of the logits that "regressed" starts from, on the calibration tokens."""


def make_router(
    config: MoEConfig, dense: DenseFFN, parts: Partition, sample: FFNSample | None, generator: torch.Generator
) -> Router:
    """The router `config.router`, started as `config.router_init` says:

    - "random": every matrix N(0, 0.02^2). "zeros": logits are 0 (of the MLP, the last matrix is 0).
    - "energy": `energy_rows`. "regressed": `regressed_rows`, for any experts of different neurons.
    - "centroids": the centroid of an expert's cluster of FFN inputs (v2).
    - "analytic": linear: mean gate (without a gate, up) row of an expert; glu: its most typical neuron.
    """

    def neurons() -> Neurons:
        assert parts.representatives is not None, "every split names them for this router"
        return dense.neurons.at(parts.representatives)

    given = RouterStart(
        config=config,
        init=config.router_init,
        width=dense.up.shape[1],
        like=dense.up,
        generator=generator,
        make_rows=lambda: _rows(config, dense, parts, sample, generator),
        neurons=neurons,
    )
    return router_class(config.router).start(given)


def _rows(
    config: MoEConfig, dense: DenseFFN, parts: Partition, sample: FFNSample | None, generator: torch.Generator
) -> Tensor:
    if config.router_init == "energy":
        assert sample is not None
        return energy_rows(sample, dense.down_norm, parts.experts)
    if config.router_init == "regressed":
        assert sample is not None
        return regressed_rows(sample, dense.down, parts.experts)
    if config.router_init == "centroids":
        assert parts.centroids is not None, "the config checks that the split has them"
        return parts.centroids
    if config.router_init == "analytic":
        rows = dense.up if dense.gate is None else dense.gate
        return torch.stack([rows[neurons.to(rows.device)].mean(0) for neurons in parts.experts])
    if config.router_init == "zeros":
        return torch.zeros(config.num_routed, dense.up.shape[1])
    return drawn(config.num_routed, dense.up.shape[1], generator)


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


def regressed_rows(sample: FFNSample, down_DF: Tensor, experts: tuple[Tensor, ...]) -> Tensor:
    """Router rows (N, D) whose logits predict how much each expert adds to the output, by ridge regression.

    Of expert e on token t that is ||E_e(x_t)||, divided by its root mean square over the experts of the token and less
    its mean over them, since only differences choose. The ridge is `RIDGE` times the mean square of an input channel,
    and the rows are scaled so that the logits of these tokens have the root mean square `SPREAD`: the weights of a
    softmax then start near equal, as experts of their dense coefficients need.

    Args:
        sample: of the dense FFN, T tokens.
        down_DF: its down projection.
        experts: the neurons of each expert.

    Returns:
        Rows (N, D), in float32 or better; 0 for a single expert.
    """
    x_TD = sample.x.double()
    norms = []
    for neurons in experts:
        at = neurons.to(sample.h.device)
        norms.append(torch.linalg.vector_norm(sample.h[:, at].float() @ down_DF[:, at].float().T, dim=1))
    size_TN = torch.stack(norms, dim=1).double()
    tiny = torch.finfo(torch.float32).tiny
    size_TN = size_TN / size_TN.square().mean(1, keepdim=True).sqrt().clamp_min(tiny)
    size_TN = size_TN - size_TN.mean(1, keepdim=True)
    gram_DD = x_TD.T @ x_TD
    gram_DD.diagonal().add_(RIDGE * gram_DD.diagonal().mean().clamp_min(tiny))
    rows_ND = torch.linalg.solve(gram_DD, x_TD.T @ size_TN).T
    spread = (x_TD @ rows_ND.T).square().mean().sqrt().clamp_min(tiny)
    return (rows_ND * (SPREAD / spread)).to(torch.promote_types(sample.x.dtype, torch.float32))


def _energy(h_TF: Tensor, down_norm: Tensor, experts: tuple[Tensor, ...]) -> Tensor:
    dtype = torch.promote_types(h_TF.dtype, torch.float32)
    columns = []
    for neurons in experts:
        neurons = neurons.to(h_TF.device)
        size = h_TF[:, neurons].to(dtype) * down_norm[neurons].to(dtype)
        columns.append(size.square().sum(1))
    return torch.stack(columns, dim=1)
