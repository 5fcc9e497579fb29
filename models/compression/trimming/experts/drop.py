"""Expert Drop: mixtures with fewer experts (He et al., arXiv 2406.02500, section 4).

The dropped experts leave with their rows of the router: tokens that chose them go to the best of those that stay, and
a router that chose more experts than are left chooses all. With `preserve_gate` the rows stay, and tokens that choose a
dropped expert lose that term of the sum. Shared experts stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import torch
from torch import nn

from ....calibration.mixture_statistics import LayerStatistics
from ....counting import stored_bytes
from ....errors import optional
from .budgets import Keep, Scope, kept_experts
from .mixtures import Mixture, changeable_mixtures, check_statistics
from .remapped import NONE, check_remap, remap
from .saved_form import note_trimmed
from .scores import Score, expert_scores


@dataclass(frozen=True)
class DroppedExperts:
    """One mixture: the experts that stayed and those that went, by their numbers before.

    `unseen`: experts that no calibration token chose, so that no score says anything of them.
    """

    layer: str
    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    unseen: tuple[int, ...]

    @classmethod
    def of(cls, seen: LayerStatistics, kept: Sequence[int]) -> DroppedExperts:
        """All but those that are kept of the experts that the statistics are of."""
        dropped = sorted(set(range(seen.num_experts)) - set(kept))
        unseen = (seen.counts == 0).nonzero().flatten().tolist()
        return cls(seen.layer, tuple(kept), tuple(dropped), tuple(unseen))


@dataclass(frozen=True)
class ExpertDropReport:
    """What `expert_drop` did: by mixture, and the bytes of all tensors of the model before and after."""

    layers: tuple[DroppedExperts, ...]
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        kept = sum(len(layer.kept) for layer in self.layers)
        dropped = sum(len(layer.dropped) for layer in self.layers)
        saved = (self.bytes_before - self.bytes_after) / 2**20
        text = f"{dropped} of {kept + dropped} experts dropped, {saved:.1f} MiB saved"
        unseen = sum(len(layer.unseen) for layer in self.layers)
        return f"{text}; {unseen} had seen no calibration token" if unseen else text

    def __repr__(self) -> str:
        return f"ExpertDropReport({self})"

    def _repr_html_(self) -> str:
        """What a notebook shows: that line, and what became of each mixture."""
        with optional():
            import pandas

        return f"<p>{escape(str(self))}</p>{pandas.DataFrame(self.layers).to_html(max_rows=20, index=False)}"


def expert_drop(
    model: nn.Module,
    statistics: Sequence[LayerStatistics],
    keep: Keep,
    *,
    score: Score = "reap",
    scope: Scope = "layer",
    reverse: bool = False,
    preserve_gate: bool = False,
    least: int = 1,
    generator: torch.Generator | None = None,
) -> ExpertDropReport:
    """Keep the best experts of each mixture of a model, or the best of all, in place.

    A stock model whose mixtures keep equally many experts saves and loads as before, with fewer of them; one whose
    mixtures keep different numbers, or rows of the router, becomes a registered class of ours, which any Auto class
    opens.

    Args:
        model: a model with mixtures of experts.
        statistics: what `mixture_statistics` saw in the model as it is; it serves any number of budgets and scores.
        keep: experts that stay: a number of each mixture (int), a fraction of each (float), or one number for each
            mixture.
        score: a formula of `expert_scores`; the lowest go.
        scope: "layer" keeps the best of each mixture, "global" the best of all together, as many in total.
        reverse: the best go, which is the control of a score.
        preserve_gate: the router keeps all its rows, and what would go to a dropped expert goes nowhere.
        least: experts that each mixture keeps in any case.
        generator: draws the scores of "random".

    Returns:
        Which experts of each mixture stayed, and the bytes of the model before and after.

    Raises:
        ModelError: statistics of another model, numbers that cannot be kept, a score that cannot be computed, adapters
            around experts. Nothing changes.

    Example: `expert_drop(mixtral, mixture_statistics(mixtral, batches), keep=6)`.
    """
    mixtures = changeable_mixtures(model)
    check_statistics(mixtures, statistics)
    scores = expert_scores(statistics, score, reverse=reverse, generator=generator)
    experts = [mixture.experts for mixture in mixtures]
    kept = kept_experts(experts, scores, keep, scope=scope, least=least)
    if preserve_gate:
        for mixture in mixtures:
            if mixture.experts.table is None:
                check_remap(mixture.mlp)
    before = stored_bytes(model)
    layers: list[DroppedExperts] = []
    for mixture, indices, seen in zip(mixtures, kept, statistics, strict=True):
        layers.append(_drop(mixture, indices, seen, preserve_gate=preserve_gate))
    note_trimmed(model)
    return ExpertDropReport(tuple(layers), before, stored_bytes(model))


def _drop(mixture: Mixture, kept: Sequence[int], seen: LayerStatistics, *, preserve_gate: bool) -> DroppedExperts:
    number = mixture.experts.num_experts
    found = DroppedExperts.of(seen, kept)
    if found.dropped and preserve_gate and mixture.experts.table is None:
        places = {expert: place for place, expert in enumerate(kept)}
        remap(mixture.mlp, kept, [places.get(expert, NONE) for expert in range(number)])
    elif found.dropped:
        mixture.experts.keep(kept)  # behind a table, the rows of the router stay anyway
    return found
