"""The choice of the candidates that stay dynamic, in rounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal, cast

from torch import Tensor

from ...sparsity.budgets import Schedule
from ...sparsity.masked import Masked
from ...sparsity.scoring import Evidence
from ...sparsity.selection import Group, choose
from .candidates import ModeCandidates, OpenMask, open_masks
from .parts import Attentions, Kind, parts_of
from .released import released_rounds
from .scores import Criterion, Scored, entry_effects
from .ties import refuse_ties

Scope = Literal["global", "local"]

# Shapes: C candidates of a part.


def groups_of(kinds: Sequence[Kind], sizes: Sequence[int], ratio: float, scope: Scope) -> list[Group]:
    """What is ranked together: the candidates of all parts of a kind, or of each part by itself.

    `sizes`: how many candidates each part has; round(ratio N) of the N of a group stay dynamic.
    """
    if scope == "local":
        return [Group(parts=[i], left=size, keep=round(ratio * size)) for i, size in enumerate(sizes)]
    groups: list[Group] = []
    first = 0
    for kind in kinds:
        inside = range(first, first + len(kind.named))
        total = sum(sizes[part] for part in inside)
        groups.append(Group(parts=inside, left=total, keep=round(ratio * total)))
        first = inside.stop
    return groups


def choose_dynamic(
    kinds: Sequence[Kind],
    candidates: ModeCandidates,
    groups: Sequence[Group],
    evidence: Evidence,
    criterion: Criterion,
    rounds: int,
    schedule: Schedule,
    released: float | None = None,
) -> tuple[list[Tensor], int]:
    """Which candidates (C,) of each part stay dynamic, and how many tied at the border.

    All parts have a partition by which they are dynamic as a whole. `released` is kappa, where rounds are those of the
    released code. Raises `ModelError` for scores that are not finite or, but for those rounds, all tie.
    """
    parts = parts_of(kinds)
    names = list(parts)
    attentions = [name for kind in kinds if isinstance(kind, Attentions) for name in kind.named]
    with open_masks(list(parts.values())) as masks:
        scored = _scored(kinds, masks, evidence, criterion)
        first = True

        def effects() -> list[Tensor]:
            nonlocal first
            found: list[Tensor] = []
            references: list[Tensor] = []
            for one, kind in zip(scored, kinds, strict=True):
                own = entry_effects(one, list(kind.named))
                found += own
                if first:
                    references += one.references(own)
            if first:
                refuse_ties(candidates, groups, found, references, criterion, names, attentions)
            first = False
            return found

        if released is not None:

            def own_effects() -> list[Tensor]:
                found = [entry_effects(one, list(kind.named)) for one, kind in zip(scored, kinds, strict=True)]
                return [effect for effects in found for effect in effects]

            return released_rounds(candidates, groups, masks, own_effects, released, rounds, schedule)

        # The choice in rounds looks at nothing but `stored` of a part: what is out is set to 0, and so to static.
        as_layers = cast("Sequence[Masked]", masks)
        as_granularity = cast(Any, candidates)  # it is asked for scores and entries, and removes nothing
        return choose(as_granularity, groups, as_layers, effects, rounds=rounds, schedule=schedule)


def _scored(kinds: Sequence[Kind], masks: Sequence[OpenMask], evidence: Evidence, criterion: Criterion) -> list[Scored]:
    """What the scores of each kind are taken from, with its own of the masks."""
    rest = iter(masks)
    found: list[Scored] = []
    for kind in kinds:
        own = list(islice(rest, len(kind.named)))
        found.append(kind.scored(own, evidence, criterion))
    return found
