"""Parts of a model go: experts, layers, attentions, blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.linear.names import Names
from sparsebench.models.compression.trimming import (
    attention_similarity,
    block_similarity,
    choose,
    drop_attentions,
    drop_blocks,
    drop_layers,
    droppable_attentions,
    droppable_blocks,
    droppable_layers,
    layer_similarity,
)
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.models.compression.trimming.experts.mean_outputs import replace_by_mean
from sparsebench.models.compression.trimming.experts.merging import Grouping, MergeReport, merge_similar
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.compression.trimming.experts.scores import Score
from sparsebench.models.errors import ModelError

from .._work import Work

Part = Literal["layers", "attentions", "blocks"]


@dataclass(frozen=True, kw_only=True)
class Experts:
    """Each mixture keeps a fraction of its experts.

    Attributes:
        keep: the fraction that stays, in (0, 1].
        how: "drop" the others with their rows of the router; "merge" them into those that stay (HC-SMoE by outputs,
            M-SMoE by the router); "mean" puts the mean output of each in its place (MoNE).
        score: what ranks experts; None: "reap" to drop, "mone" for means. Merging ranks nothing.
        grouping: which experts are merged: those with like "outputs", or like rows of the "router".
        keep_router: dropped experts keep their rows of the router, and what goes to them goes nowhere.
        targets: regular expressions on the names of mixtures; empty: all.
        ignore: regular expressions on names of mixtures that keep all experts.
    """

    keep: float = 0.75
    how: Literal["drop", "merge", "mean"] = "drop"
    score: Score | None = None
    grouping: Grouping | None = None
    keep_router: bool = False
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ModelError(f"keep={self.keep}, the fraction of the experts that stay, must lie in (0, 1]")
        if self.how == "merge" and self.score is not None:
            raise ModelError("score ranks experts that go; merging ranks none: leave it out, or take how: drop")
        if self.how != "merge" and self.grouping is not None:
            raise ModelError("grouping says which experts are merged: take how: merge")
        if self.how != "drop" and self.keep_router:
            raise ModelError("keep_router is for experts that are dropped: the others keep their rows anyway")
        _ = Names(self.targets, self.ignore)

    def apply(self, work: Work) -> str:
        """Look at the experts on calibration text, and trim in place."""
        numbers = self._numbers(work)
        before = sum(mixture.experts.num_experts for mixture in mixtures_of(work.model))
        by_outputs = self.how == "merge" and self.grouping in (None, "outputs")
        statistics = mixture_statistics(work.model, work.batches(), all_outputs=by_outputs)
        if self.how == "merge":
            report = merge_similar(work.model, statistics, numbers, grouping=self.grouping or "outputs")
            return f"{before} experts merged into {_groups(report)}"
        if self.how == "mean":
            replace_by_mean(
                work.model, statistics, numbers, score=self.score or "mone", generator=work.generator(), scope="layer"
            )
            return f"{before - sum(numbers)} of {before} experts replaced by their mean outputs"
        report = expert_drop(
            work.model,
            statistics,
            numbers,
            score=self.score or "reap",
            preserve_gate=self.keep_router,
            generator=work.generator(),
        )
        return str(report)

    def _numbers(self, work: Work) -> list[int]:
        """How many stay of each mixture; all of those that are not meant."""
        mixtures = mixtures_of(work.model)
        chosen = Names(self.targets, self.ignore).chosen([mixture.path for mixture in mixtures], "mixtures")
        numbers = []
        for mixture, meant in zip(mixtures, chosen, strict=True):
            number = mixture.experts.num_experts
            numbers.append(max(1, round(self.keep * number)) if meant else number)
        return numbers


def _groups(report: MergeReport) -> int:
    return sum(len(groups) for groups in report.groups.values())


@dataclass(frozen=True, kw_only=True)
class Drop:
    """The layers (FFNs), attentions or whole blocks that change least what they get go, all at once.

    Attributes:
        what: which parts.
        number: how many.
        targets: regular expressions on the names of blocks, as `model.layers.0`; empty: all.
        ignore: regular expressions on names of blocks that lose nothing.
    """

    what: Part
    number: int
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ModelError(f"number={self.number} of {self.what} to drop must be 1 or more")
        _ = Names(self.targets, self.ignore)

    def apply(self, work: Work) -> str:
        """Measure the similarities on calibration text, and drop in place."""
        candidates = self._candidates(work)
        if self.number > len(candidates):
            raise ModelError(f"number={self.number}: {len(candidates)} {self.what} of this model can be dropped")
        measure = {"layers": layer_similarity, "attentions": attention_similarity, "blocks": block_similarity}[
            self.what
        ]
        if self.what == "blocks":
            similarity = measure(work.model, work.batches())
        else:
            similarity = measure(work.model, work.batches(), candidates)
        chosen = choose(candidates, self.number, similarity=similarity)
        drop = {"layers": drop_layers, "attentions": drop_attentions, "blocks": drop_blocks}[self.what]
        dropped = drop(work.model, chosen)
        return f"{self.number} {self.what} dropped: {', '.join(dropped.paths)}"

    def _candidates(self, work: Work) -> Sequence[int]:
        model = work.model
        blocks = describe(model).blocks
        if self.what == "layers":
            mixture = any(block.mlp is not None and block.mlp.experts is not None for block in blocks)
            found = droppable_layers(model, "mixtures" if mixture else "all")
        else:
            found = {"attentions": droppable_attentions, "blocks": droppable_blocks}[self.what](model)
        chosen = Names(self.targets, self.ignore).chosen([blocks[index].site.path for index in found], "blocks")
        return [index for index, meant in zip(found, chosen, strict=True) if meant]
