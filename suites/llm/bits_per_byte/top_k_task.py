"""Bits per byte against the number of experts that a token gets at run time, uniformly and by layer; nothing trains."""

import math
from typing import ClassVar

import torch

from sparsebench.models.anatomy import describe
from sparsebench.models.moe.routing.top_k import greedy_top_k, top_k_by_layer, with_top_k

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import EXPERTS
from ..language.task import CausalLM, LanguageTask
from .task import MAIN, BitsPerByteTask, domain_bits, router_details

BY_LAYER = f"{MAIN} k by layer"
ALL = 16
"""Up to so many experts, each k is measured; of more, the powers of two, all of them and the model's own k."""


class TopKTask(BitsPerByteTask):
    """The main metric is that of the model as it is; the others are of the same weights with other k.

    "k by layer" has the mean of the model's own k: exchanges between layers that lower the loss of the calibration
    windows (`models.moe.routing.top_k.greedy_top_k`); where none does, it is the model as it is. Weights of fewer or
    more experts are scaled as `set_top_k` says.
    """

    metric_names = (MAIN, BY_LAYER, f"{MAIN} k=*")
    needs: ClassVar[frozenset[str]] = LanguageTask.needs | {EXPERTS}

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Read the test windows once for each k."""
        model = subject.model
        own = top_k_by_layer(model)
        chosen, loss, own_loss = greedy_top_k(model, lambda: _calibration_loss(subject, context))
        as_it_is = domain_bits(self, self.domain, subject, context)
        metrics = {MAIN: as_it_is.metric()}
        for k in measured(_experts(subject), own):
            with with_top_k(model, k):
                metrics[f"{MAIN} k={k}"] = domain_bits(self, self.domain, subject, context).metric()
        with with_top_k(model, chosen):
            metrics[BY_LAYER] = domain_bits(self, self.domain, subject, context).metric()
        found = {"own": own, "by layer": chosen, "calibration loss": loss, "calibration loss of own": own_loss}
        details = {**router_details({self.domain: as_it_is}, context), "experts per token": found}
        examples = {"bits": as_it_is.bits, "bytes": as_it_is.bytes, "cluster": as_it_is.documents}
        return Scores(MAIN, metrics, examples, details)


def measured(experts: int, own: list[int]) -> list[int]:
    """The uniform k that are measured of a model with so many experts in its smallest mixture."""
    if experts <= ALL:
        return list(range(1, experts + 1))
    powers = {2**power for power in range(int(math.log2(experts)) + 1)}
    return sorted(powers | {experts} | {k for k in own if k <= experts})


def _experts(subject: CausalLM) -> int:
    mlps = [block.mlp for block in describe(subject.model).blocks if block.mlp is not None]
    return min(
        mlp.experts.top_groups * mlp.experts.num_experts // mlp.experts.groups
        for mlp in mlps
        if mlp.experts is not None
    )


@torch.no_grad()
def _calibration_loss(subject: CausalLM, context: Context) -> float:
    """Mean loss of the calibration windows, which weigh alike."""
    losses = [float(context.loss(subject.model, batch)) * len(batch["input_ids"]) for batch in context.batches()]
    return sum(losses) / sum(len(batch["input_ids"]) for batch in context.batches())
