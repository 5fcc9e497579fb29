"""Random molecules built in code, to be written again and drawn; smoke test only."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from sparsebench.models.graphsgpt import GraphsGPT

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..chains import chains
from ..generation_task import GenerationTask, own_vocabulary
from ..reconstruction import reconstruct, valid_share
from ..token_data import token_data

TRAIN = 200  # of 240


class SyntheticGeneration(GenerationTask):
    """The molecules of `synthetic`, the last 40 for testing; drawn ones should at least exist."""

    version = "1"
    group = "generation smoke test"
    trains = draws = few_shot = True

    def training_molecules(self, count: int, generator: torch.Generator) -> list[str]:
        """Different ones."""
        return [chains()[row] for row in torch.randperm(TRAIN, generator=generator)[:count].tolist()]

    def data(self, model: GraphsGPT, context: Context) -> Any:
        """Tokens of the training molecules."""
        return token_data(chains()[:TRAIN], own_vocabulary(model), context.device)

    def evaluate(self, sampler: Any, context: Context) -> tuple[Scores, Mapping[str, Any]]:
        """Exact reconstruction, and validity of ten drawn molecules."""
        made = sampler.draw(10, chains()[:10], context.task_generator("sampling"))
        scores = reconstruct(sampler, chains()[TRAIN:][: context.budget.test_examples])
        return replace(scores, metrics={**scores.metrics, "valid": valid_share(made)}), {}
