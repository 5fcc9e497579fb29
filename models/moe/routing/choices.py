"""What a router says: where tokens go.

Apart from the routers, so that what only looks on (the probe, the health of routers) runs none of their code.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

# Shapes: T tokens, N routed experts, K chosen experts.


class Choice(NamedTuple):
    """Chosen experts, best first, and their weights times the scale, both (T, K)."""

    index: Tensor  # pyright: ignore[reportIncompatibleMethodOverride] -- a tuple's own method, which nobody calls
    weight: Tensor


class Routing(NamedTuple):
    """Where tokens go: chosen experts, best first, and their weights times the scale, both (T, K).

    `logits` (T, N) are free of noise. While noise is on, `noisy` (T, N) chose the experts and `std` (T, N) is the
    standard deviation of the noise. `passed` (T, N) are the weights of all experts that `densemixer` works with.
    """

    index: Tensor  # pyright: ignore[reportIncompatibleMethodOverride] -- a tuple's own method, which nobody calls
    weight: Tensor
    logits: Tensor
    noisy: Tensor | None = None
    std: Tensor | None = None
    passed: Tensor | None = None

    def of(self, tokens: Tensor) -> Routing:
        """The routing of some of the tokens, given by a mask (T,) or indices."""
        noisy = None if self.noisy is None else self.noisy[tokens]
        std = None if self.std is None else self.std[tokens]
        passed = None if self.passed is None else self.passed[tokens]
        return Routing(self.index[tokens], self.weight[tokens], self.logits[tokens], noisy, std, passed)

    def sent_nowhere(self, tokens: Tensor) -> Routing:
        """The routing with index N, no expert, and weight 0 for the tokens of a mask, (T,) or (T, K)."""
        if tokens.dim() == 1:
            tokens = tokens.unsqueeze(1)
        index_TK = self.index.masked_fill(tokens, self.logits.shape[1])
        return self._replace(index=index_TK, weight=self.weight.masked_fill(tokens, 0))
