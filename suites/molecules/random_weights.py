"""GraphsGPT with random weights that come from a generator, and the size of smoke tests."""

import copy
from typing import Any

import torch

from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary


def tiny_config(**fields: Any) -> GraphsGPTConfig:
    """The size of smoke tests."""
    return GraphsGPTConfig.of(
        Vocabulary.improved(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_words=4,
        **fields,
    )


def random_encoder(config: GraphsGPTConfig, generator: torch.Generator) -> Graph2Seq:
    """A `Graph2Seq` whose seed comes from the generator."""
    return Graph2Seq(_seeded(config, generator)).eval()


def random_model(config: GraphsGPTConfig, generator: torch.Generator) -> GraphsGPT:
    """A `GraphsGPT` whose seed comes from the generator."""
    return GraphsGPT(_seeded(config, generator)).eval()


def _seeded(config: GraphsGPTConfig, generator: torch.Generator) -> GraphsGPTConfig:
    config = copy.deepcopy(config)
    config.seed = int(torch.randint(2**31 - 1, (), generator=generator))
    return config
