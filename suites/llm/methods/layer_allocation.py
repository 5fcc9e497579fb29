"""Layer-wise allocation: each layer keeps its own number of blocks always on, at one number of active blocks

By the coefficient of variation of activations, as ExpertWeaver (Zhao et al., arXiv 2602.15521, equations 3 to 6):
shared fraction = highest - (highest - lowest) r, r the fraction of a layer's neurons with CV > 0.6. Or by beam search
under the suffix's KL, as a public replication of CMoE does (Tkino117/cmoe-improve, September 2026): layers are decided
from the first to the last, each allocation scored by the KL of the final logits from the dense model's, the rest dense.

Our reading: experts, shared neurons and router are CMoE's for every rule, so that rows differ by the allocation alone;
examples of the calibration text stand for the paper's tasks; "variation" keeps the mean of `num_shared`, where the
paper lets the total follow from the text; one expert at least is routed in each layer.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, preset
from sparsebench.models.moe.conversion.allocation.conversion import (
    active_blocks,
    convert_by_layer,
    convert_by_search,
)
from sparsebench.models.moe.conversion.allocation.variation import by_variation, specialised

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CALIBRATION_DATA, CAUSAL, FFN
from ...methods.moe._calibration import calibration, split_seed
from ...methods.moe._dense_ffns import check_has_ffn
from ...methods.moe._moe import MoEMethod

CONTROLS = ({"rule": "uniform"},)
"""Configurations that are controls, read by the report."""


@dataclass(frozen=True, kw_only=True)
class LayerAllocation(MoEMethod):
    """CMoE's blocks; `num_shared + top_k` are on in each layer, and the rule says how many of them always."""

    num_experts: int = 8
    """Equal blocks of neurons, the always-on ones included."""
    num_shared: int = 2
    """Blocks that are always on: in the mean over layers ("variation"), in each ("uniform"), or in the allocation that
    the beam is compared with ("beam")."""
    top_k: int = 2
    """Routed experts per token in addition, of the uniform allocation. With 1, every layer already shares as many
    blocks as it may: nothing is left for "variation" to move."""
    rule: Literal["variation", "beam", "uniform"] = "beam"
    """What decides; "uniform" is CMoE, as a control."""
    width: int = 4
    """Allocations that the beam search keeps from layer to layer; 1 is greedy."""
    search_examples: int = 8
    """Calibration examples that the beam search measures the divergence on; all of them decide the experts."""
    threshold: float = 0.6
    """Coefficient of variation above which "variation" calls a neuron specialised; the paper's."""
    lowest: float = 0.2
    """The paper's shared fraction of a layer of specialised neurons alone."""
    highest: float = 0.7
    """The paper's shared fraction of a layer without them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule == "variation" and self.top_k == 1:
            raise ValueError(
                "rule='variation' keeps the mean of num_shared, which with top_k=1 is the most a layer may have"
            )
        if self.width < 1 or self.search_examples < 1:
            raise ValueError(f"width={self.width} and search_examples={self.search_examples} must be 1 or more")
        if not 0 <= self.lowest <= self.highest <= 1:
            raise ValueError(f"lowest={self.lowest} and highest={self.highest} must rise from 0 to 1")

    @property
    def needs(self) -> frozenset[str]:
        """A language model with FFNs to cut, and text to look at."""
        return frozenset({FFN, CAUSAL, CALIBRATION_DATA})

    def moe_config(self, seed: int) -> MoEConfig:
        """The uniform conversion: CMoE's preset with these numbers."""
        return preset(
            "cmoe_3p1of8", num_experts=self.num_experts, num_shared=self.num_shared, top_k=self.top_k, seed=seed
        )

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Allocate and convert, in place. Raises `NotApplicable` for a model that cannot be converted so."""
        check_has_ffn(backbone)
        config = self.conversion(split_seed(context))
        seen = calibration(backbone, context, gradients=False)
        if self.rule == "beam":
            try:
                found = convert_by_search(backbone, config, seen, self._searched(context), width=self.width)
            except ModelError as error:
                raise NotApplicable(str(error)) from error  # blocks that cannot run one by one
            divergences = {"divergence": found.divergence, "uniform divergence": found.uniform_divergence}
            context.note("shared blocks", {"by layer": found.shared, **divergences})
            return backbone
        shared = (self.num_shared,) * len(seen.samples)
        if self.rule == "variation":
            fractions = specialised(backbone, seen, self.threshold)
            shared = by_variation(
                fractions,
                blocks=self.num_experts,
                shared=self.num_shared,
                most=active_blocks(config) - 1,
                lowest=self.lowest,
                highest=self.highest,
            )
            context.note("shared blocks", {"by layer": shared, "specialised": fractions})
        return convert_by_layer(backbone, config, shared, seen)

    def _searched(self, context: Context) -> list[Any]:
        """The first calibration examples, as many as the search reads."""
        left = self.search_examples
        found = []
        for batch in context.calibration():
            if left > 0:
                found.append(
                    {name: value[:left] if isinstance(value, Tensor) else value for name, value in batch.items()}
                )
                left -= len(batch["input_ids"])
        return found
