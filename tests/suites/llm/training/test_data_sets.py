"""Rows by group as data sets, and how a language model reads their held-out part."""

from functools import partial

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny_mixture
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import SyntheticInstructions
from sparsebench.suites.llm.training.data_sets import data_sets, held_out, partition, read_past
from sparsebench.suites.training.mixing.held_out import measure
from sparsebench.suites.training.processes import Processes


@pytest.mark.parametrize("kind", tiny_mixture.KINDS)
def test_sets_are_the_groups_of_the_task_and_packed_rows_are_read_without_padding(kind: str) -> None:
    """Qwen2-MoE too, whose configuration says 0 for a window that no layer has."""
    context = Context(suite="llm", task="t", seed=0, budget=Budget(batch_size=2, calibration_examples=2))
    setup = SyntheticInstructions().setup(partial(tiny_mixture.load, argument=kind), context)
    data = partition(setup.data, "source", 4, setup.context)
    assert data is setup.data
    sets = data_sets(data)
    assert sets.names == ("mathematics", "backwards") and sum(sets.sizes.values()) == len(data.train)
    batches = sets.held_out_batches(8, 2)
    read = held_out(data, batches, setup.context)
    both = frozenset({"losses", "loads"})
    signal = measure(setup.model, read, both, Processes(torch.device("cpu")))
    assert signal.loads is not None and signal.losses is not None
    for name, members in batches.items():
        real = sum(int((batch["sequence_ids"] >= 0).sum()) for batch in members)
        assert 0 < real < sum(batch["input_ids"].numel() for batch in members)
        assert signal.loads[name].sum(1).tolist() == [2 * real] * 2
    alone = measure(setup.model, read, frozenset({"loads"}), Processes(torch.device("cpu")))
    assert alone.loads is not None
    assert all((alone.loads[name] == signal.loads[name]).all() for name in sets.names)


def test_the_body_alone_projects_one_token_of_a_row() -> None:
    context = Context(suite="llm", task="t", seed=0, budget=Budget(batch_size=2, calibration_examples=2))
    setup = SyntheticInstructions().setup(tiny_mixture.load, context)
    found = read_past(setup.model, setup.data.collate(setup.data.train[:2]))
    assert found.logits.shape[:2] == (2, 1)
