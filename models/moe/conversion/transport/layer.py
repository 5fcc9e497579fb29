"""A dense FFN that computes as a mixture would, so that gradients reach who holds a neuron and who gets a token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....errors import ModelError
from ...routing.balance import balance_loss
from ...routing.choices import Routing
from ...routing.config import RoutingConfig
from ...splits import Partition, block_sizes
from ...splits.sinkhorn import rounded, sinkhorn
from ..dense_ffn import DenseFFN

# Shapes: T tokens, D width, F hidden neurons, N experts, K chosen experts.


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard` to the bit, with the gradient of `soft` (Bengio et al., arXiv 1308.3432).

    Args:
        hard: what acts.
        soft: what learns, of the same shape; finite.
    """
    return hard + (soft - soft.detach())


class TransportFFN(nn.Module):
    """y = W_down (h * (R M^T)) + b, of DOT-MoE (arXiv 2606.01666): h (T, F) are the neurons of the dense FFN.

    M (F, N) says which expert holds a neuron: greedy rounding of the balanced transport plan of the learnt `affinity`
    (F, N). R (T, N) says which k experts a token chooses: the greatest logits of `router` (N, D). Both are 0 and 1 in
    the forward pass, and pass the gradient of the plan and of the softmax over all experts (straight-through). With
    `dense` it is the dense FFN. The weights of that FFN do not train; `modules` are those that were there.

    `aux` is the balance loss and z-loss of the last forward pass, as `routing` says.
    """

    def __init__(
        self,
        ffn: DenseFFN,
        modules: Iterable[nn.Module],
        affinity_FN: Tensor,
        router_ND: Tensor,
        routing: RoutingConfig,
    ) -> None:
        super().__init__()
        self.ffn = ffn
        self.replaced = nn.ModuleList(modules).requires_grad_(False)
        self.affinity = nn.Parameter(affinity_FN.to(ffn.up.device, torch.float32))
        self.router = nn.Parameter(router_ND.to(ffn.up.device, torch.float32))
        self.routing = routing
        self.temperature = 1.0
        self.dense = False
        self.aux: Tensor | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of each expert; they differ by at most 1."""
        return block_sizes(*self.affinity.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to the same shape."""
        x_TD = x.reshape(-1, x.shape[-1])
        h_TF = self._hidden(x_TD)
        if not self.dense:
            on_TF = self._chosen(x_TD) @ self.assignment().T
            h_TF = h_TF * on_TF.to(h_TF.dtype)
        return self.ffn.output(h_TF).view(x.shape)

    def assignment(self) -> Tensor:
        """M (F, N): a 1 in each row, at the expert that holds the neuron."""
        plan_FN = self._plan()
        hard_FN = torch.zeros_like(plan_FN)
        for expert, neurons in enumerate(rounded(plan_FN, self.sizes)):
            hard_FN[neurons.to(hard_FN.device), expert] = 1
        return straight_through(hard_FN, plan_FN)

    @torch.no_grad()
    def partition(self) -> Partition:
        """The experts as they are now, with the rows of the router as their centroids (N, D)."""
        return Partition(
            shared=torch.empty(0, dtype=torch.int64),
            experts=self._experts(),
            centroids=self.router.detach().clone(),
        )

    def _experts(self) -> tuple[Tensor, ...]:
        return rounded(self._plan(), self.sizes)

    def _plan(self) -> Tensor:
        return sinkhorn(self.affinity, self.sizes, self.temperature)

    def _hidden(self, x_TD: Tensor) -> Tensor:
        up_TF = F.linear(x_TD, self.ffn.up, self.ffn.up_bias)
        if self.ffn.gate is None:
            return self.ffn.activation(up_TF)
        return self.ffn.activation(F.linear(x_TD, self.ffn.gate, self.ffn.gate_bias)) * up_TF

    def _chosen(self, x_TD: Tensor) -> Tensor:
        """R (T, N)."""
        with torch.autocast(x_TD.device.type, enabled=False):
            logits_TN = F.linear(x_TD.float(), self.router)
        best_TK, index_TK = logits_TN.topk(self.routing.top_k, dim=-1)
        self.aux = balance_loss(self.routing, Routing(index_TK, torch.ones_like(best_TK), logits_TN))
        hard_TN = torch.zeros_like(logits_TN).scatter(1, index_TK, 1.0)
        return straight_through(hard_TN, logits_TN.softmax(-1))


class MaskedFFN(TransportFFN):
    """As its base, but every expert holds `neurons` of its own choice, also of those that others hold.

    After ToMoE (Gao et al., arXiv 2501.15316): expert e is the dense FFN under a mask, column e of M, which learns with
    the router. M has a 1 where the affinity of a column is among its greatest, and passes the gradient of
    sigmoid(affinity - the least of these). In the place of the paper's Gumbel noise and its penalty on sizes, sizes are
    fixed here.
    """

    def __init__(
        self,
        ffn: DenseFFN,
        modules: Iterable[nn.Module],
        affinity_FN: Tensor,
        router_ND: Tensor,
        routing: RoutingConfig,
        neurons: int,
    ) -> None:
        super().__init__(ffn, modules, affinity_FN, router_ND, routing)
        if not 1 <= neurons <= len(affinity_FN):
            raise ModelError(f"neurons={neurons} must lie in 1..{len(affinity_FN)}, those of the FFN")
        self.neurons = neurons

    @property
    def sizes(self) -> tuple[int, ...]:
        """`neurons` for each expert."""
        return (self.neurons,) * self.affinity.shape[1]

    def assignment(self) -> Tensor:
        """M (F, N): `neurons` ones in each column."""
        best_KN, index_KN = self.affinity.topk(self.neurons, dim=0)
        soft_FN = ((self.affinity - best_KN[-1].detach()) / self.temperature).sigmoid()
        return straight_through(torch.zeros_like(soft_FN).scatter(0, index_KN, 1.0), soft_FN)

    def _experts(self) -> tuple[Tensor, ...]:
        index_KN = self.affinity.topk(self.neurons, dim=0).indices
        return tuple(index_KN[:, expert].sort().values.cpu() for expert in range(index_KN.shape[1]))


@contextmanager
def all_dense(layers: Iterable[TransportFFN]) -> Iterator[None]:
    """Let the layers compute what the dense FFNs did, while this is open.

    Args:
        layers: the layers.

    Yields:
        Nothing.
    """
    kept = list(layers)
    for layer in kept:
        layer.dense = True
    try:
        yield
    finally:
        for layer in kept:
            layer.dense = False
