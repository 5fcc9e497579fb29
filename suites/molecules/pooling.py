"""What the Graph2Seq backbones have in common: the argument, and random weights from the cell's generator."""

import copy
from typing import get_args

import torch

from sparsebench.models.graphsgpt.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.encoder import Graph2Seq
from sparsebench.models.graphsgpt.features import Pool
from sparsebench.models.graphsgpt.modeling import GraphsGPT


def pool_of(name: str, argument: str | None) -> Pool:
    """The pool that the argument of backbone `name` names, "first" by default. Raises ValueError for another."""
    known = get_args(Pool)
    if argument is not None and argument not in known:
        raise ValueError(f"backbone {name!r} wants one of {', '.join(known)}, as in {name}:mean, not {argument!r}")
    return argument or "first"  # type: ignore[return-value]


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
