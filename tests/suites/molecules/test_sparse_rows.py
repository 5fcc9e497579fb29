"""Sparse and dynamic rows on Graph2Seq: exact where nothing is left out, training, a frozen base, and what is n/a."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.probe import routing_probe
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method, NotApplicable
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.adapters.bitfit import BitFit
from sparsebench.suites.methods.adapters.houlsby import Houlsby
from sparsebench.suites.methods.adapters.layernorm_tuning import LayerNormTuning
from sparsebench.suites.methods.adapters.lora import LoRA
from sparsebench.suites.methods.adapters.mam import MAM
from sparsebench.suites.methods.adapters.pfeiffer import Pfeiffer
from sparsebench.suites.methods.adapters.prefix_tuning import PrefixTuning
from sparsebench.suites.methods.adapters.sparse_adapter import SparseAdapter
from sparsebench.suites.methods.adapters.ssf import SSF
from sparsebench.suites.methods.adapters.vpt_deep import VPTDeep
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.methods.compression.neuron_pruning import NeuronPruning
from sparsebench.suites.methods.moe.cmoe import CMoE
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2
from sparsebench.suites.methods.moe.moe_attention import MoEAttention
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.moe.moe_shared import SharedSplit
from sparsebench.suites.molecules.backbones import tiny_encoder
from sparsebench.suites.molecules.tasks.synthetic import Synthetic
from sparsebench.suites.prediction.frozen_features import cache_frozen_features
from sparsebench.suites.training.method import TrainedMethod

from ..reasons import reason

MakeContext = Callable[..., Context]

EXACT = {
    "moe_random": RandomSplit(num_experts=4, top_k=4),
    "moe_shared": SharedSplit(num_experts=4, num_shared=1, top_k=3),
    "cmoe": CMoE(num_experts=4, num_shared=1, top_k=3),
    "neuron_pruning": NeuronPruning(keep=1.0),
}
"""Rows that leave nothing out: with these settings every neuron is used, with weight 1."""
SPARSE = {
    "moe_random": RandomSplit(),
    "moe_shared": SharedSplit(),
    "cmoe": CMoE(),
    "llama_moe_v1": LlamaMoEV1(),
    "llama_moe_v1 residual": LlamaMoEV1(preset="residual_14p2"),
    "llama_moe_v2": LlamaMoEV2(),
    "llama_moe_v2 8top2": LlamaMoEV2(preset="8top2"),
    "neuron_pruning": NeuronPruning(),
}
TRAINED: dict[str, TrainedMethod] = {
    "full_tuning": FullTuning(learning_rate=1e-2),
    "moe_random": RandomSplit(train="all", learning_rate=1e-2),
    "llama_moe_v1": LlamaMoEV1(train="all", learning_rate=1e-2),
    "lora": LoRA(learning_rate=3e-2),
    "adapter": Adapter(learning_rate=3e-2),
    "sparse_adapter": SparseAdapter(learning_rate=3e-2),
    "houlsby": Houlsby(rank=8, learning_rate=3e-2),
    "pfeiffer": Pfeiffer(rank=8, learning_rate=3e-2),
    "bitfit": BitFit(learning_rate=3e-2),
    "layernorm_tuning": LayerNormTuning(learning_rate=3e-2),
    "prefix_tuning": PrefixTuning(learning_rate=3e-2),
    "mam": MAM(learning_rate=3e-2),
    "ssf": SSF(learning_rate=3e-2),
}


def setup(context: Context) -> Setup:
    return Synthetic().setup(partial(tiny_encoder.load, argument="concat"), context)


@torch.no_grad()
def outputs(ready: Setup, model: Any) -> torch.Tensor:
    return model.eval()(ready.data.collate(list(ready.data.test))[0])


def train_loss(ready: Setup, model: Any) -> float:
    with torch.no_grad():
        return float(ready.context.loss(model.eval(), ready.data.collate(list(ready.data.train))))


@pytest.mark.parametrize("name", EXACT)
def test_a_mixture_that_leaves_nothing_out_is_the_dense_model(name: str, make_context: MakeContext) -> None:
    ready = setup(make_context())
    dense = outputs(ready, ready.model)
    model = EXACT[name].prepare(ready.model, ready.context)
    assert torch.allclose(outputs(ready, model), dense, atol=1e-5)


@pytest.mark.parametrize("name", SPARSE)
def test_every_ffn_is_cut_and_the_head_is_found(name: str, make_context: MakeContext) -> None:
    ready = setup(make_context())
    dense = outputs(ready, ready.model)
    model = SPARSE[name].prepare(ready.model, ready.context)
    layers: Any = model.get_submodule("body.network.layers")
    cut_ffns = [isinstance(layer.mlp, MoEFFN) or layer.mlp.up_proj.out_features == 51 for layer in layers]
    assert cut_ffns == [True, True] and not torch.allclose(outputs(ready, model), dense, atol=1e-4)
    before = copy.deepcopy(model.state_dict())
    SPARSE[name].fit(model, ready.data, ready.context)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"head.weight", "head.bias"}


@pytest.mark.parametrize("name", TRAINED)
def test_training_lowers_the_loss(name: str, make_context: MakeContext) -> None:
    method, ready = TRAINED[name], setup(make_context(epochs=8))
    model = method.prepare(ready.model, ready.context)
    at_first = train_loss(ready, model)
    method.fit(model, ready.data, ready.context)
    assert train_loss(ready, model) < 0.97 * at_first


def test_adapters_in_the_last_block_run_from_there_on(make_context: MakeContext) -> None:
    ready = setup(make_context())
    model = Adapter(blocks=1).prepare(ready.model, ready.context)
    rest, data = cache_frozen_features(model, ready.data, ready.context)
    assert rest is not model
    rows = range(0, 192, 17)
    raw, shorter = ([part.train[row] for row in rows] for part in (ready.data, data))
    assert [len(item) for item, _ in shorter] == [4 + len(item) for item, _ in raw], "states of words and tokens"
    with torch.no_grad():
        one, other = rest.eval()(data.collate(shorter)[0]), model.eval()(ready.data.collate(raw)[0])
    assert torch.allclose(one, other, atol=1e-5)


def test_routers_see_no_padding_in_calibration_and_all_experts_work(make_context: MakeContext) -> None:
    ready = setup(make_context())
    model = CMoE(num_experts=4, num_shared=1).prepare(ready.model, ready.context)
    with routing_probe(model) as probe:
        outputs(ready, model)
    loads = [stats.load for stats in probe.layers.values()]
    assert len(loads) == 2 and all(len(load) == 3 for load in loads)


@pytest.mark.parametrize("method", [MoEAttention(), VPTDeep()])
def test_what_graph2seq_has_no_place_for_is_said_before_running(method: Method) -> None:
    found = reason(Synthetic, "molecules", "graph2seq", method)
    known = "the backbone is an encoder of molecules: it "
    assert found in (f"{known}predicts no next token", f"{known}does not see an image as tokens")


def test_attention_experts_of_v2_are_not_applicable(make_context: MakeContext) -> None:
    ready = setup(make_context())
    with pytest.raises(NotApplicable, match="attention experts need the causal attention"):
        LlamaMoEV2(preset="attn_7of8").prepare(ready.model, ready.context)


def test_a_probe_reports_who_was_refused(make_context: MakeContext) -> None:
    outcome = Synthetic().run([LinearProbe()], tiny_encoder.load, make_context(test_examples=16))
    assert outcome.details["refused_fraction"] == 0 and outcome.costs is not None and outcome.costs.unit == "molecule"
