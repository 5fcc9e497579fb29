"""QM9 (your folder): train GraphsGPT from scratch, then encode and rewrite molecules that it never saw."""

from collections.abc import Mapping
from typing import Any

import torch

from sparsebench.models.graphsgpt import GraphsGPT

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..generation_task import GenerationTask, own_vocabulary
from ..qm9_parts import parts
from ..reconstruction import reconstruct
from ..token_data import token_data


class QM9Reconstruction(GenerationTask):
    """Shares of 1,000 test molecules that come back exactly, after training on up to 100,000 others."""

    version = "1"
    group = "reconstruction"
    sources = ("qm9",)
    trains = True

    def training_molecules(self, count: int, generator: torch.Generator) -> list[str]:
        """`count` different ones."""
        train = parts()[0]
        return [train[row] for row in torch.randperm(len(train), generator=generator)[:count].tolist()]

    def data(self, model: GraphsGPT, context: Context) -> Any:
        """Tokens of the training molecules."""
        return token_data(parts()[0], own_vocabulary(model), context.device)

    def evaluate(self, sampler: Any, context: Context) -> tuple[Scores, Mapping[str, Any]]:
        """Encode and decode the test molecules."""
        return reconstruct(sampler, parts()[1][: context.budget.test_examples]), {}
