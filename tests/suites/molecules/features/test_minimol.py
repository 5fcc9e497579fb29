"""Fingerprints of MiniMol as features: rows in any order, sparse rows with random weights, and what is refused."""

import copy
from functools import partial
from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.adapters.lora import LoRA
from sparsebench.suites.methods.adapters.sparse_adapter import SparseAdapter
from sparsebench.suites.methods.compression.block_drop import BlockDrop
from sparsebench.suites.methods.compression.neuron_pruning import NeuronPruning
from sparsebench.suites.methods.moe.moe_shared import SharedSplit
from sparsebench.suites.molecules.backbones import minimol, minimol_random
from sparsebench.suites.molecules.features.minimol import MiniMolBody
from sparsebench.suites.molecules.tasks.synthetic import Synthetic
from sparsebench.suites.training.method import TrainedMethod

from ...reasons import reason
from ..bodies import SMILES, features, generator

SMALL = partial(minimol_random.load, argument="24x4")


def test_one_row_for_each_molecule_in_any_order() -> None:
    body = SMALL(generator())
    found = features(body, SMILES)
    assert found.shape == (len(SMILES), body.width) and body.width == 512
    torch.testing.assert_close(features(body, SMILES[::-1]), found.flip(0), atol=1e-5, rtol=1e-4)
    again, other = (features(SMALL(generator(seed)), SMILES) for seed in (0, 1))
    assert torch.equal(again, found) and not torch.equal(other, found)


def test_what_the_backbones_take() -> None:
    with pytest.raises(ValueError, match="wants folded, or first1 to first15, not 'first16'"):
        minimol.load(generator(), "first16")
    with pytest.raises(ValueError, match=r"wants width x layers \(3 or more\), as in 336x16, not '24x2'"):
        minimol_random.load(generator(), "24x2")


@pytest.mark.parametrize(
    "method",
    [
        Adapter(learning_rate=3e-2),
        LoRA(targets=("linears",), learning_rate=3e-2),
        SparseAdapter(learning_rate=3e-2),
        BlockDrop(n=1, train="head"),
    ],
    ids=lambda method: type(method).__name__,
)
def test_rows_train(method: TrainedMethod, make_context: Any) -> None:
    ready = Synthetic().setup(SMALL, make_context())
    model = method.prepare(ready.model, ready.context)
    before = copy.deepcopy(model.state_dict())
    method.fit(model, ready.data, ready.context)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"head.weight", "head.bias"} <= changed
    assert (changed == {"head.weight", "head.bias"}) == isinstance(method, BlockDrop)


@pytest.mark.parametrize(
    "method", [SharedSplit(num_experts=4), NeuronPruning()], ids=lambda method: type(method).__name__
)
def test_mlps_with_a_norm_inside_are_not_cut(method: Any, make_context: Any) -> None:
    ready = Synthetic().setup(SMALL, make_context())
    assert isinstance(ready.backbone, MiniMolBody)
    with pytest.raises(NotApplicable, match="its neurons depend on each other and cannot be cut apart"):
        method.prepare(ready.model, ready.context)


def test_what_has_no_place_is_said_before_running() -> None:
    found = reason(Synthetic, "molecules", "minimol", LoRA())
    assert found == "the backbone is a graph network: it has no attention, and so no transformer blocks"
    assert reason(Synthetic, "molecules", "minimol", LoRA(targets=("up",))) is None
