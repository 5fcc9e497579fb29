"""Balance without a loss: a bias on the scores by which tokens choose their experts, moved after each step.

    (model(**batch).loss + aux_loss(model)).backward()  # counts who was chosen, over micro-batches too
    optimizer.step()
    update_biases(model)  # in every process

Wang et al., arXiv 2408.15664; DeepSeek-V3, arXiv 2412.19437. In a `Trainer` of transformers the call belongs into
`on_optimizer_step` of a callback; the training loop of `suites` has a callback of its own for it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .global_sums import ALL
from .picks import picks

# Shapes: T tokens, N routed experts, K chosen experts.


class ChoiceBias(nn.Module):
    """b (N,): experts are chosen by score + b, and weigh what they would weigh without.

    `value` is b, a buffer that is saved along. It stays in float32 whatever the model is cast to, for bfloat16 would
    lose steps of `rate`. `pending` (N,) counts the choices since the last step; None: none. It is no buffer, since
    each process has its own. `together`: the processes whose choices move it.
    """

    value: Tensor

    def __init__(self, experts: int, rate: float, device: torch.device) -> None:
        super().__init__()
        self.rate = rate
        self.together = ALL
        self.register_buffer("value", torch.zeros(experts, dtype=torch.float32, device=device))
        self.pending: Tensor | None = None

    def choose(self, score_TN: Tensor, k: int) -> Tensor:
        """The k best by score + b, best first, (T, K)."""
        return (score_TN.detach() + self.value).topk(k, dim=-1).indices

    @torch.no_grad()
    def count(self, index_TK: Tensor) -> None:
        """Add these choices to the pending ones."""
        found_N = picks(index_TK, len(self.value))
        self.pending = found_N if self.pending is None else self.pending + found_N

    @torch.no_grad()
    def update(self) -> None:
        """b_i += rate * sign(mean load - load_i), of the choices in all processes since the last step."""
        pending_N = self.pending
        if pending_N is None:  # no token here, but perhaps in another process
            pending_N = torch.zeros_like(self.value, dtype=torch.int64)
        (load_N,) = self.together.sum(pending_N)
        # N times the difference, which is a whole number: an expert at the mean does not move.
        missing_N = load_N.sum() - len(load_N) * load_N
        self.value += self.rate * missing_N.sign()
        self.pending = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ChoiceBias:
        before = self.value
        super()._apply(fn, recurse)
        if self.value.dtype != before.dtype:
            self.value = before.to(self.value.device)
        return self

    def extra_repr(self) -> str:  # noqa: D102 - torch's own hook
        return f"rate={self.rate:g}"


def update_biases(model: nn.Module) -> None:
    """Move the bias of every router that has one (`balance="bias"`) by what was chosen since the last call.

    Call it after each step of the optimizer, in every process. A router without a parameter that trains keeps its bias.

    Args:
        model: a model with routers of ours.
    """
    for bias in _biases(model):
        bias.update()


def discard_counts(model: nn.Module) -> None:
    """Forget the choices since the last step: a training that begins counts its own only."""
    for bias in _biases(model):
        bias.pending = None


def _biases(model: nn.Module) -> list[ChoiceBias]:
    return [module for module in model.modules() if isinstance(module, ChoiceBias)]
