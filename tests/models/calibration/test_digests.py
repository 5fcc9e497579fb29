"""What a digest sees, and what it does not: the same model and data give the same one in another process, too."""

import copy
import dataclasses
import functools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.calibration.digests import code_digest, content_digest, model_digest, weights_digest
from sparsebench.models.compression.quantisation import Grid, QuantiseConfig, quantise
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert

Build = Callable[[str], nn.Module]


@dataclasses.dataclass(slots=True)
class Tokens:
    """Stands for a batch of molecules."""

    ids: torch.Tensor
    blocks: list[int]


@pytest.mark.parametrize(
    "other",
    [
        {"x": torch.full((2, 3), 2.0), "count": 1},
        {"x": torch.ones(3, 2), "count": 1},
        {"x": torch.ones(2, 3, dtype=torch.int32), "count": 1},
        {"x": torch.ones(2, 3), "count": 2},
        {"x": torch.ones(2, 3), "count": "1"},
        {"x": torch.ones(2, 3), "number": 1},
        [torch.ones(2, 3), 1],
    ],
)
def test_other_data_have_another_digest(other: Any) -> None:
    batch = {"x": torch.ones(2, 3), "count": 1}
    assert content_digest(batch) == content_digest({"x": torch.ones(2, 3), "count": 1})
    assert content_digest(batch) != content_digest(other)


def test_graphs_are_what_they_hold() -> None:
    from torch_geometric.data import Batch, Data

    def batch(edge: int, x: float) -> Batch:
        graph = Data(x=torch.full((2, 1), x), edge_index=torch.tensor([[0, 1], [1, edge]]))
        return Batch.from_data_list([graph, graph])

    digests = {content_digest(batch(edge, x)) for edge in (0, 1) for x in (0.0, 1.0)}
    assert len(digests) == 4 and content_digest(batch(0, 0.0)) in digests


def test_nesting_counts() -> None:
    assert content_digest([[1, 2], [3]]) != content_digest([[1], [2, 3]])
    assert content_digest(["a", "b"]) != content_digest(["ab", ""])
    ids = torch.arange(3)
    assert content_digest(Tokens(ids, [4])) == content_digest(Tokens(ids + 0, [4])) != content_digest(Tokens(ids, [5]))


def test_what_cannot_be_read_is_refused_and_never_taken_for_another() -> None:
    with pytest.raises(ModelError, match="hold a object, of which no digest is known"):
        content_digest([object()])
    with torch.device("meta"):
        model = nn.Linear(2, 2)
    with pytest.raises(ModelError, match="weight has no memory"):
        model_digest(model)


def changed(model: Any, change: str) -> None:
    layer = model.model.layers[0]
    if change == "weight":
        layer.mlp.experts.gate_up_proj.data[0, 0, 0] += 1e-6
    elif change == "top_k":
        layer.mlp.gate.top_k = 3
    elif change == "buffer":
        model.model.rotary_emb.inv_freq[0] += 1
    elif change == "config":
        model.config.rms_norm_eps = 1e-3
    elif change == "module":
        layer.mlp.experts.act_fn = nn.GELU()
    else:
        layer.mlp.experts.some_setting = functools.partial(torch.clamp, min=2)


@pytest.mark.parametrize("change", ["weight", "top_k", "buffer", "config", "module", "partial"])
def test_a_model_that_computes_something_else_has_another_digest(change: str, build: Build) -> None:
    model: Any = build("mixtral")
    before = model_digest(model)
    same = copy.deepcopy(model).train()
    same.config._name_or_path = "elsewhere"
    assert model_digest(same) == before
    changed(model, change)
    assert model_digest(model) != before


def test_neither_use_nor_training_mode_change_it_but_the_routing_does(build: Build) -> None:
    model = convert(build("llama"), MoEConfig(num_experts=4, top_k=2, balance="switch"))
    before = model_digest(model)
    model.train()(input_ids=torch.arange(4, 12)[None])
    assert model_digest(model) == before
    other = convert(build("llama"), MoEConfig(num_experts=4, top_k=3, balance="switch"))
    assert model_digest(other) != before


def test_packed_weights_count_by_what_they_stand_for(build: Build) -> None:
    digests = []
    for bits in (4, 8, 4):
        model = build("mixtral")
        quantise(model, QuantiseConfig(method="rtn", grid=Grid(bits=bits, group_size=8)))
        digests.append(model_digest(model))
    assert digests[0] == digests[2] != digests[1]


SCRIPT = """
import torch
from sparsebench.models.calibration.digests import code_digest, content_digest, model_digest
torch.manual_seed(0)
print(code_digest(), content_digest([{"a": torch.ones(2)}, None]), model_digest(torch.nn.Linear(2, 3)))
"""


def test_another_process_finds_the_same() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        here = [code_digest(), content_digest([{"a": torch.ones(2)}, None]), model_digest(nn.Linear(2, 3))]
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == here


def test_weights_are_known_whatever_type_holds_them() -> None:
    layer = nn.Linear(3, 2).bfloat16()
    assert weights_digest(layer) == weights_digest(copy.deepcopy(layer).float())
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.bias[0] += 1
    assert weights_digest(layer) != weights_digest(other)
    assert weights_digest(nn.Linear(3, 2, device="meta")) is None
