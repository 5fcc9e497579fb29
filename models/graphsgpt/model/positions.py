"""Embeddings of tokens and of their places in the graph (arXiv 2402.02464)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Shapes: B molecules, L tokens, A codes, D width.


class StableEmbedding(nn.Module):
    """An embedding followed by a layer norm: (...) int64 to (..., D)."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        """The normed rows."""
        return self.norm(self.embedding(ids))

    def keep(self, rows: int) -> None:
        """Keep the first rows alone; frozen ones stay frozen."""
        weight = self.embedding.weight
        kept = weight.detach()[:rows].clone()
        self.embedding = nn.Embedding.from_pretrained(kept, freeze=not weight.requires_grad)

    def table(self, rows: int | None = None) -> Tensor:
        """The first `rows` (or all) normed rows, (rows, D)."""
        return self(torch.arange(self.embedding.num_embeddings, device=self.embedding.weight.device)[:rows])


class PairProjection(nn.Linear):
    """A linear map of two codes, one after the other. Its halves are applied apart and it is never called, so that no
    adapter belongs around it: being no plain `nn.Linear` says so."""


class GraphPositions(nn.Module):
    """Codes of atoms, orthonormal at first; a token lies at a pair of atoms, an atom token at the pair (i, i).

    The vector of a pair is W [code_i, code_j] with W (D, 2 code_size), then a layer norm.
    """

    def __init__(self, atoms: int, code_size: int, width: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.empty(atoms, code_size))
        self.projection = PairProjection(2 * code_size, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, pairs: Tensor, permutation: Tensor | None = None) -> Tensor:
        """Position vectors (B, L, D) of ids (B, L, 2); `permutation` (B, A) renames the atoms of each molecule."""
        pairs = pairs.long()
        if permutation is not None:
            pairs = permutation.gather(1, pairs.flatten(1)).view_as(pairs)
        first, second = self.halves()
        return self.norm(F.embedding(pairs[..., 0], first) + F.embedding(pairs[..., 1], second))

    def halves(self) -> tuple[Tensor, Tensor]:
        """What a code adds as first and as second of a pair, before the norm: twice (A, D)."""
        first, second = self.projection.weight.chunk(2, dim=1)
        return self.codes @ first.T, self.codes @ second.T


def random_permutations(molecules: int, atoms: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Independent uniform permutations (B, A) of 0..A-1."""
    drawn_on = device
    if generator is not None:  # which draws on its own device alone
        drawn_on = generator.device
    return torch.rand(molecules, atoms, generator=generator, device=drawn_on).argsort(dim=1).to(device)


def orthonormal(rows: int, columns: int, generator: torch.Generator | None) -> Tensor:
    """Random orthonormal rows, uniform over all such (QR of a Gaussian matrix, signs by R's diagonal)."""
    gaussian = torch.randn(columns, rows, generator=generator, dtype=torch.float64, device="cpu")
    q, r = torch.linalg.qr(gaussian)
    return (q * r.diagonal().sign()).T.to(torch.get_default_dtype())
