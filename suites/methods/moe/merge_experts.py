"""Merged experts: the FFNs of several dense models of one shape become the experts of one mixture

As mergekit-moe does without training; Branch-Train-MiX (Sukhbaatar et al., arXiv 2403.07816) takes the mean of
everything else and trains on. The backbone is the first model, the `donors` are the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.merging.merge import merge_experts

from ...contracts.context import Context, Setup
from ...contracts.method import NotApplicable
from ._calibration import split_seed
from ._dense_ffns import check_has_ffn
from ._moe import MoEMethod


@dataclass(frozen=True, kw_only=True)
class MergeExperts(MoEMethod):
    """`top_k` of the models' FFNs per token, with weights that sum to 1."""

    donors: tuple[str, ...] = ("tiny",)
    """Backbones (`name` or `name:argument`) whose FFNs are the experts after that of the cell's own backbone; the
    default is another draw of the random weights of the smoke tests."""
    top_k: int = 2
    """Experts per token; with 1 the router gets the gradient of its probability (straight-through)."""
    rest: Literal["base", "mean"] = "base"
    """Everything but the FFNs: the backbone's, or the mean over all models."""
    prompts: tuple[tuple[str, ...], ...] = ()
    """Texts of the domain of each model, the backbone's first: the router's row of an expert is the mean input of the
    FFN over them, at length 1 (language models only). Without them the router is random."""
    centre: bool = False
    """Take off from these means what they have in common."""
    balance_coef: float = 1e-2
    """Weight of the balance loss (Switch Transformers)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        experts = 1 + len(self.donors)
        if self.prompts and len(self.prompts) != experts:
            raise ValueError(
                f"prompts for {len(self.prompts)} models, but there are {experts}: the backbone and donors"
            )
        if self.centre and not self.prompts:
            raise ValueError("centre says something of prompts: give the prompts of each model")

    def backbones(self) -> tuple[str, ...]:
        """The donors."""
        return self.donors

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Merge into the backbone, in place. Raises `NotApplicable` for models that do not go together."""
        check_has_ffn(backbone)
        setups = [context.load_backbone(name) for name in self.donors]
        models = [backbone, *(setup.model for setup in setups)]
        prompts = self._batches(setups, context) if self.prompts else None
        try:
            return merge_experts(
                backbone,
                models,
                self.moe_config(split_seed(context)),
                rest=self.rest,
                prompts=prompts,
                centre=self.centre,
            )
        except ModelError as error:
            raise NotApplicable(str(error)) from error

    def moe_config(self, seed: int) -> MoEConfig:
        """As many experts as models, under a renormalised softmax."""
        return MoEConfig(
            num_experts=1 + len(self.donors),
            top_k=self.top_k,
            split="whole",
            score="softmax_topk",
            renorm=True,
            straight_through=self.top_k == 1,
            balance="switch",
            balance_coef=self.balance_coef,
            seed=seed,
        )

    def _batches(self, setups: Sequence[Setup], context: Context) -> list[list[Any]]:
        """The prompts of each model as inputs of the backbone, one text a batch."""
        tokenizers: list[Any] = [getattr(setup.backbone, "tokenizer", None) for setup in setups]
        if not context.target.generates or None in tokenizers:
            raise NotApplicable("prompts are for language models: leave them out for a random router")
        vocabularies = [tokenizer.get_vocab() for tokenizer in tokenizers]
        if any(vocabulary != vocabularies[0] for vocabulary in vocabularies):
            raise NotApplicable(f"the donors {', '.join(self.donors)} do not share one vocabulary: prompts differ")
        if len(vocabularies[0]) != context.target.outputs:
            raise NotApplicable(
                f"the donors have a vocabulary of {len(vocabularies[0])} tokens, the backbone one of "
                f"{context.target.outputs}: prompts differ"
            )
        found = []
        for texts in self.prompts:
            rows = [torch.tensor([tokenizers[0](text)["input_ids"]], device=context.device) for text in texts]
            found.append([context.inputs({"input_ids": row}) for row in rows])
        return found
