"""What each expert of each mixture does on calibration data: the numbers that scores, merging and pruning read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import MLP, Experts, describe
from ..errors import ModelError
from .by_block import BlockPass, by_block
from .digests import weights_digest
from .expert_calls import ExpertCall, expert_calls, expert_outputs, routed

# Shapes: T tokens, D width, F hidden neurons, N routed experts, K chosen experts, P pairs of a token and an expert.


@dataclass(frozen=True, kw_only=True)
class LayerStatistics:
    """Sums over the real calibration tokens of one mixture, by expert; float64 on the CPU.

    E_e(x) is what expert e gives for token x, without a weight; p_e(x) the softmax over all logits of the router, w_e
    the weight with which the layer adds E_e. "Its tokens" are those that chose the expert.

    Attributes:
        layer: dotted name of the mixture.
        block: its place.
        top_k: experts that a token chooses.
        tokens: how many there were.
        counts: (N,) int64: its tokens.
        weight: (N,) sum of w_e over them.
        norm: (N,) sum of |E_e(x)| over its tokens (EAN, arXiv 2504.05586).
        weighted_norm: (N,) the same with w_e as a factor (REAP, arXiv 2510.13999, equation 9, of a router without
            softmax).
        renormalised_norm: (N,) the same with w_e divided by the sum of the token's weights, as REAP's authors compute
            since March 2026.
        output: (N, D) sum of E_e(x) over its tokens.
        output_square: (N, D) sum of their squares.
        softmax: whether w_e come from a softmax; from a sigmoid of each logit otherwise.
        router_digest: of the router's weights, by which statistics of another model are known; None where they lie
            elsewhere than in memory.
        probability: (N,) sum of p_e over *all* tokens; None where the router gives no logits.
        gated_norm: (N,) sum of p_e(x) |E_e(x)| over its tokens (REAP, equation 9, of a softmax router); None without
            logits.
        logit_products: (N, N) sum of l l^T over all tokens, l their router logits.
        all_output: (N, D) sum of E_e(x) over *all* tokens, if that was asked for.
        input_square: (N, D) sum over its tokens of the squares of the inputs of its gate and up projections, if asked
            for.
        hidden_square: (N, F) the same of its down projection.
    """

    layer: str
    block: int
    top_k: int
    tokens: int
    counts: Tensor
    weight: Tensor
    norm: Tensor
    weighted_norm: Tensor
    renormalised_norm: Tensor
    output: Tensor
    output_square: Tensor
    softmax: bool = True
    router_digest: str | None = None
    probability: Tensor | None = None
    gated_norm: Tensor | None = None
    logit_products: Tensor | None = None
    all_output: Tensor | None = None
    input_square: Tensor | None = None
    hidden_square: Tensor | None = None

    @property
    def num_experts(self) -> int:
        """N."""
        return len(self.counts)


def mixture_statistics(
    model: nn.Module,
    batches: Iterable[object],
    *,
    moments: bool = False,
    all_outputs: bool = False,
    least_tokens: int | None = None,
) -> list[LayerStatistics]:
    """Pass the batches through the model once, and sum up what every expert does: one entry for each mixture.

    One block of the model at a time (`by_block`), in eval mode; padding does not count. Sums are in float64, products
    in the model's own type.

    Args:
        model: a model with mixtures of experts.
        batches: run as `model(**batch)` for mappings, else `model(batch)`.
        moments: add the squares of the inputs of linear maps.
        all_outputs: add what each expert would give for the tokens that went to others (N / K times the work).
        least_tokens: real tokens that there must be; None: as many as a layer has experts.

    Returns:
        The sums of each mixture, in order.

    Raises:
        ModelError: a model without a mixture, experts that are not called with (x, index, weight), too few real tokens,
            and values that are not finite.

    Example: `mixture_statistics(mixtral, [{"input_ids": ids, "attention_mask": mask}])[0].counts`.
    """
    mixtures = [block.index for block in describe(model).blocks if block.mlp is not None and block.mlp.experts]
    if not mixtures:
        raise ModelError(f"{type(model).__name__} has no mixture of experts to look at")
    found: list[LayerStatistics] = []
    for step in by_block(model, batches, mixtures):
        mlp = step.block.mlp
        assert mlp is not None
        sums = _Sums(mlp, moments=moments, all_outputs=all_outputs)
        with expert_calls(mlp, _mask_of(step), sums.add):
            step.run(final=True)
        _check(sums, least_tokens)
        found.append(sums.statistics(step.block.index))
    return found


def _mask_of(step: BlockPass) -> Any:
    def mask() -> Tensor:
        return step.mask

    return mask


class _Sums:
    """The sums of one mixture while its batches pass."""

    def __init__(self, mlp: MLP, *, moments: bool, all_outputs: bool) -> None:
        self.mlp = mlp
        self.experts: Experts = routed(mlp)
        number = self.experts.num_experts
        self.tokens = 0
        self.has_logits = True
        self.by_expert = {name: _zeros(number) for name in ("weight", "norm", "weighted_norm", "renormalised_norm")}
        self.by_expert |= {name: _zeros(number) for name in ("probability", "gated_norm")}
        self.by_expert |= {name: _zeros(number, mlp.width) for name in ("output", "output_square")}
        self.by_expert["logit_products"] = _zeros(number, number)
        self.counts = torch.zeros(number, dtype=torch.int64)
        if all_outputs:
            self.by_expert["all_output"] = _zeros(number, mlp.width)
        if moments:
            self.by_expert["input_square"] = _zeros(number, mlp.width)
            self.by_expert["hidden_square"] = _zeros(number, mlp.hidden)

    @torch.no_grad()
    def add(self, call: ExpertCall) -> None:
        """Add the tokens of one call."""
        self.tokens += len(call.x)
        probability_TN = self._add_router(call)
        index_P = call.index.flatten()
        # An index of N is no expert: the pair was dropped.
        taken_P = (index_P < self.experts.num_experts).nonzero().flatten()
        # By expert, so that the tokens of each are one slice; stable, so that sums are added in the same order
        # everywhere.
        order_P = taken_P[index_P[taken_P].argsort(stable=True)]
        token_P = order_P // call.index.shape[1]
        expert_P = index_P[order_P]
        self.counts += torch.bincount(expert_P.cpu(), minlength=len(self.counts))
        weight_TK = call.weight.double()
        # A token whose weights are all 0 gives 0, not NaN.
        fraction_TK = weight_TK / weight_TK.sum(-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
        weight_P = weight_TK.flatten()[order_P]
        factors = {"weighted_norm": weight_P, "renormalised_norm": fraction_TK.flatten()[order_P]}
        if probability_TN is not None:
            factors["gated_norm"] = probability_TN[token_P, expert_P].double()
        self._index_add("weight", expert_P, weight_P)
        for part, output_PD in expert_outputs(self.experts, call.x, token_P, expert_P):
            self._add_outputs(expert_P[part], output_PD, {name: value[part] for name, value in factors.items()})
        if "input_square" in self.by_expert:
            self._add_moments(call.x, token_P, expert_P)
        if "all_output" in self.by_expert:
            self._add_all_outputs(call.x)

    def _add_router(self, call: ExpertCall) -> Tensor | None:
        if call.logits is None:
            self.has_logits = False
            return None
        probability_TN = call.logits.softmax(-1)
        logits_TN = call.logits.double()
        self.by_expert["probability"] += probability_TN.double().sum(0).cpu()
        self.by_expert["logit_products"] += (logits_TN.T @ logits_TN).cpu()
        return probability_TN

    def _add_outputs(self, expert_P: Tensor, output_PD: Tensor, factors: dict[str, Tensor]) -> None:
        output_PD = output_PD.to(torch.promote_types(output_PD.dtype, torch.float32))
        norm_P = torch.linalg.vector_norm(output_PD, dim=-1).double()
        self._index_add("norm", expert_P, norm_P)
        for name, factor_P in factors.items():
            self._index_add(name, expert_P, factor_P * norm_P)
        for expert, rows_RD in _groups(expert_P, output_PD):
            self.by_expert["output"][expert] += rows_RD.sum(0, dtype=torch.float64).cpu()
            self.by_expert["output_square"][expert] += rows_RD.square().sum(0, dtype=torch.float64).cpu()

    def _add_moments(self, x_TD: Tensor, token_P: Tensor, expert_P: Tensor) -> None:
        for expert, token_R in _groups(expert_P, token_P):
            x_RD = x_TD[token_R]
            hidden_RF = self.experts.hidden(expert, x_RD)
            self.by_expert["input_square"][expert] += _squares(x_RD)
            # Experts of a bank may have fewer neurons than the largest one.
            self.by_expert["hidden_square"][expert, : hidden_RF.shape[1]] += _squares(hidden_RF)

    def _add_all_outputs(self, x_TD: Tensor) -> None:
        token_T = torch.arange(len(x_TD), device=x_TD.device)
        for expert in range(len(self.counts)):
            expert_T = torch.full_like(token_T, expert)
            for _, output_PD in expert_outputs(self.experts, x_TD, token_T, expert_T):
                self.by_expert["all_output"][expert] += output_PD.sum(0, dtype=torch.float64).cpu()

    def _index_add(self, name: str, expert_P: Tensor, value_P: Tensor) -> None:
        self.by_expert[name].index_add_(0, expert_P.cpu(), value_P.cpu())

    def statistics(self, block: int) -> LayerStatistics:
        """All sums."""
        sums = dict(self.by_expert)
        if not self.has_logits:
            for name in ("probability", "gated_norm", "logit_products"):
                del sums[name]
        return LayerStatistics(
            layer=self.mlp.site.path,
            block=block,
            top_k=self.experts.top_k,
            tokens=self.tokens,
            counts=self.counts,
            softmax=self.experts.softmax,
            router_digest=weights_digest(self.experts.router.get()),
            **sums,
        )


def _check(sums: _Sums, least_tokens: int | None) -> None:
    path = sums.mlp.site.path
    least = sums.experts.num_experts if least_tokens is None else least_tokens
    if sums.tokens < least:
        raise ModelError(
            f"{path} saw {sums.tokens} real tokens of calibration data, fewer than {least}: pass more or longer texts"
        )
    for name, value in sums.by_expert.items():
        if not value.isfinite().all():
            raise ModelError(f"{path}: {name} on the calibration data is NaN or infinite")


def _groups(expert_P: Tensor, rows_P: Tensor) -> list[tuple[int, Tensor]]:
    """Rows, sorted by expert, in one piece for each expert that has some."""
    experts, counts = expert_P.unique_consecutive(return_counts=True)
    return list(zip(experts.tolist(), rows_P.split(counts.tolist()), strict=True))


def _squares(rows: Tensor) -> Tensor:
    return rows.to(torch.promote_types(rows.dtype, torch.float32)).square().sum(0, dtype=torch.float64).cpu()


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)
