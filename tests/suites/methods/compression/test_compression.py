"""Every compression method in the other suites: a vision transformer, an encoder and a generator of molecules."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.methods.compression.attention_drop import AttentionDrop
from sparsebench.suites.methods.compression.block_drop import BlockDrop
from sparsebench.suites.methods.compression.expert_drop import ExpertDrop
from sparsebench.suites.methods.compression.expert_merging import ExpertMerging
from sparsebench.suites.methods.compression.layer_drop import LayerDrop
from sparsebench.suites.methods.compression.magnitude_pruning import MagnitudePruning
from sparsebench.suites.methods.compression.mean_experts import MeanExperts
from sparsebench.suites.methods.compression.quantise import Quantise
from sparsebench.suites.methods.compression.sparsegpt import SparseGPT
from sparsebench.suites.methods.compression.wanda import Wanda
from sparsebench.suites.methods.moe.moe_shared import SharedSplit
from sparsebench.suites.molecules.backbones import tiny_encoder, tiny_generator
from sparsebench.suites.molecules.tasks.synthetic import Synthetic
from sparsebench.suites.molecules.tasks.synthetic_generation import SyntheticGeneration
from sparsebench.suites.vtab.backbones import tiny as tiny_vision
from sparsebench.suites.vtab.tasks.synthetic import Blobs

PLACES: dict[str, tuple[str, Callable[[], Any], Any]] = {
    "vision": ("vtab", Blobs, tiny_vision.load),
    "encoder": ("molecules", Synthetic, tiny_encoder.load),
    "generator": ("molecules", SyntheticGeneration, tiny_generator.load),
}
METHODS: dict[str, Callable[[Any], Any]] = {
    "expert_drop": lambda train: ExpertDrop(keep=0.5, score="reap", preserve_gate=True, train=train),
    "expert_merging": lambda train: ExpertMerging(keep=0.5, train=train),
    "mean_experts": lambda train: MeanExperts(keep=0.5, train=train),
    "layer_drop": lambda train: LayerDrop(train=train),
    "block_drop": lambda train: BlockDrop(train=train),
    "attention_drop": lambda train: AttentionDrop(train=train),
    "magnitude_pruning": lambda train: MagnitudePruning(train=train),
    "wanda": lambda train: Wanda(pattern="2:4", train=train),
    "sparsegpt": lambda train: SparseGPT(train=train),
    "quantise": lambda train: Quantise(method="awq", parts=("experts", "shared", "attention"), train=train),
}


# Of a few examples some expert gets no token, and some scale has nowhere to go: both are reported.
@pytest.mark.filterwarnings("ignore:(wanda|sparsegpt)[^,]*weights:UserWarning")
@pytest.mark.filterwarnings("ignore:\\d+ matrices by awq:UserWarning")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", METHODS)
def test_a_converted_mixture_is_compressed_and_scored(place: str, name: str) -> None:
    suite, task, load = PLACES[place]
    budget = Budget(epochs=1, batch_size=16, test_examples=8, calibration_examples=16)
    context = Context(suite=suite, task="synthetic", seed=0, budget=budget)
    train = "none" if place == "generator" else "head"
    chain = [SharedSplit(top_k=1, train="none"), METHODS[name](train)]
    if (place, name) == ("generator", "block_drop"):
        with pytest.raises(NotApplicable, match="blocks can only leave a model whose configuration counts them"):
            task().run(chain, load, context)
        return
    outcome = task().run(chain, load, context)
    assert outcome.metrics and all(math.isfinite(metric.value) for metric in outcome.metrics.values())
    assert outcome.costs is not None and outcome.costs.params_total
