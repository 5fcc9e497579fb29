"""Splits, scaling and encoded examples."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.prediction.data import MOST_RESIDENT, Examples, PairedDataset, TargetScaler, encode, resident

from .toy import Rows, make_task, splits

NAN = float("nan")


def context(seed: int = 0, **budget: Any) -> Context:
    values = {"epochs": 3, "batch_size": 8, "calibration_examples": 20, **budget}
    return Context(suite="s", task="t", seed=seed, budget=Budget(**values))


def test_scale_ignores_missing_values_and_leaves_other_targets_alone() -> None:
    targets = np.array([[1.0, 10.0], [3.0, NAN], [NAN, 30.0]])
    scale = TargetScaler.of(targets, Target("regression", 2))
    assert scale.mean.tolist() == [2.0, 20.0] and scale.std.tolist() == [1.0, 10.0]
    labels = torch.tensor([[0.0, 1.0]])
    assert torch.equal(TargetScaler.of(targets, Target("multilabel", 2)).apply(labels), labels)
    classes = torch.tensor([3, 1])
    assert torch.equal(scale.apply(classes), classes) and torch.equal(scale.undo(classes), classes)


def test_a_constant_target_is_not_divided_by_zero() -> None:
    scale = TargetScaler.of(np.array([[5.0], [5.0]]), Target("regression", 1))
    assert scale.apply(torch.tensor([[5.0], [6.0]])).tolist() == [[0.0], [1.0]]
    assert scale.undo(torch.tensor([[1.0]])).tolist() == [[6.0]]


def test_unequal_lengths_are_refused() -> None:
    data = splits("classification")
    short = replace(data, train=Examples(data.train.inputs[:5], data.train.targets))
    with pytest.raises(ValueError, match="5 inputs, but 40 targets"):
        encode(Rows(torch.Generator()), short, Target("classification", 2), torch.device("cpu"))


def test_labels_that_tasks_keep_are_read_only() -> None:
    data = splits("classification")
    with pytest.raises(ValueError, match="read-only"):
        data.train.targets[::2] = 0


def test_pairs_look_inputs_up_only_when_asked() -> None:
    asked: list[int] = []

    class Lazy(Sequence[int]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: Any) -> int:
            asked.append(index)
            return 10 * index

    pairs = PairedDataset(Lazy(), torch.arange(4))
    assert len(pairs) == 4 and asked == []
    assert pairs[2] == (20, torch.tensor(2)) and asked == [2]


def rows_seen(share: float, seed: int = 0, as_list: bool = False) -> list[tuple[float, ...]]:
    """First inputs of the training part under a budget."""
    data = splits("regression")
    if as_list:
        data = replace(data, train=Examples(list(data.train.inputs), data.train.targets))
    setup = make_task("regression", data).setup(Rows, context(seed, train_fraction=share))
    assert len(setup.data.val) == 12 and len(setup.data.test) == 20
    return [tuple(item.tolist()) for item, _ in setup.data.train]


def test_a_share_of_the_training_part_is_random_and_part_of_a_larger_share() -> None:
    whole, half, tenth = rows_seen(1.0), rows_seen(0.5), rows_seen(0.1)
    assert (len(whole), len(half), len(tenth)) == (40, 20, 4)
    assert set(tenth) < set(half) < set(whole)
    assert half == [row for row in whole if row in half], "in the order they had"
    assert half != whole[:20] and half == rows_seen(0.5) == rows_seen(0.5, as_list=True) != rows_seen(0.5, seed=1)
    assert len(rows_seen(0.001)) == 1


def test_inputs_and_targets_of_a_share_stay_together_and_set_the_scale() -> None:
    train, few = splits("regression").train, make_task("regression").setup(Rows, context(train_fraction=0.25)).data
    pairs = {tuple(np.float32(x)): y for x, y in zip(train.inputs, train.targets, strict=True)}
    targets = np.stack([pairs[tuple(item.numpy())] for item, _ in few.train])
    assert np.allclose(few.scale.undo(few.train.targets).numpy(), targets, rtol=1e-5)
    assert np.allclose(few.scale.mean, targets.mean(0), rtol=1e-5)


def test_what_an_accelerator_reads_in_every_epoch_lies_there() -> None:
    body = Rows(torch.Generator())
    part = PairedDataset([torch.ones(4), torch.zeros(4)], torch.tensor([0, 1]))
    there, here = torch.device("meta"), torch.device("cpu")
    assert resident(part, body, there) is part, "nobody says that its items are of one size"
    body.alike = True
    moved = resident(part, body, there)
    assert [item.device for item, _ in moved] == [there, there] and moved.targets is part.targets
    assert resident(part, body, here) is part and not len(resident(part[:0], body, there))
    large = replace(part, inputs=[torch.empty(MOST_RESIDENT // 8 + 1, device="meta")] * 2)
    assert resident(large, body, there) is large
