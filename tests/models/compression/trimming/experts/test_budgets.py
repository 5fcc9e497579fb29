"""B5: how many stay, and which, against sorting by hand."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.compression.trimming.experts.budgets import kept_experts
from sparsebench.models.errors import ModelError


def experts(number: int = 4, *, groups: int = 1, least_in_group: int = 1) -> Any:
    router = SimpleNamespace(path="gate")
    return SimpleNamespace(num_experts=number, groups=groups, least_in_group=least_in_group, router=router)


def scores(*rows: list[float]) -> list[Tensor]:
    return [torch.tensor(row, dtype=torch.float64) for row in rows]


TWO = scores([0.4, 0.1, 0.3, 0.2], [0.9, 0.8, 0.6, 0.7])


def test_layer_by_layer() -> None:
    assert kept_experts([experts()] * 2, TWO, 2) == [[0, 2], [0, 1]]
    assert kept_experts([experts()] * 2, TWO, 0.5) == [[0, 2], [0, 1]]
    assert kept_experts([experts()] * 2, TWO, [1, 3]) == [[0], [0, 1, 3]]
    assert kept_experts([experts()] * 2, TWO, 4) == kept_experts([experts()] * 2, TWO, 1.0) == [[0, 1, 2, 3]] * 2
    assert kept_experts([experts()] * 2, TWO, 0.01) == [[0], [0]]


def test_the_best_of_all_layers_but_one_of_each_at_least() -> None:
    assert kept_experts([experts()] * 2, TWO, 2, scope="global") == [[0], [0, 1, 3]]
    assert kept_experts([experts()] * 2, TWO, 3, scope="global") == [[0, 2], [0, 1, 2, 3]]
    assert kept_experts([experts()] * 2, TWO, 2, scope="global", least=2) == [[0, 2], [0, 1]]
    assert kept_experts([experts()] * 2, TWO, [1, 2], scope="global") == [[0], [0, 1]]


@pytest.mark.parametrize("number", range(1, 7))
def test_the_total_is_what_was_asked_for(number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    drawn = [torch.rand(6, generator=generator, dtype=torch.float64) for _ in range(5)]
    kept = kept_experts([experts(6)] * 5, drawn, [number] * 5, scope="global")
    assert sum(map(len, kept)) == 5 * number and all(kept)
    chosen: list[float] = []
    dropped: list[float] = []
    for row, stayed in zip(drawn, kept, strict=True):
        # The best one of each layer stays whatever its score is.
        chosen += [row[expert].item() for expert in stayed if expert != row.argmax()]
        dropped += [row[expert].item() for expert in range(6) if expert not in stayed]
    assert len(chosen) == 5 * (number - 1)
    assert min(chosen, default=1.0) > max(dropped, default=0.0)


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_of_equal_scores_the_first_stay(scope: Any) -> None:
    assert kept_experts([experts()] * 2, scores([1.0] * 4, [1.0] * 4), 2, scope=scope)[0][:2] == [0, 1]


def test_groups_keep_equally_many() -> None:
    row = scores([9, 8, 7, 1, 2, 3])
    assert kept_experts([experts(6, groups=2)], row, 2) == [[0, 5]]
    assert kept_experts([experts(6, groups=2, least_in_group=2)], row, 4) == [[0, 1, 4, 5]]
    with pytest.raises(ModelError, match="keep=3: the router at gate chooses among 2 groups"):
        kept_experts([experts(6, groups=2)], row, 3)
    with pytest.raises(ModelError, match="equally many have to stay, 2 or more"):
        kept_experts([experts(6, groups=2, least_in_group=2)], row, 2)
    with pytest.raises(ModelError, match="scope='global': the router at gate"):
        kept_experts([experts(6, groups=2)], row, 2, scope="global")


@pytest.mark.parametrize(
    ("keep", "least", "message"),
    [
        (5, 1, r"keep=5: the mixture with the router gate has 1..4 to keep"),
        (0, 1, r"keep=0: .* has 1..4 to keep; Layer Drop \(trimming.drop_layers, method layer_drop\) takes"),
        ([1, 2], 2, r"keep=1: .* has 2..4 to keep"),
        (2, 9, "least=9: the mixture with the router gate has 4 experts in all"),
        (1, 1, r"keep=1 may mean one expert of each mixture or all of them: write keep=\[1, 1\] .*, keep=1.0 for all"),
        (True, 1, "keep=True may mean one expert"),
        ([2, 2.5], 1, r"keep=\[2, 2.5\]: 2.5 is no whole number"),
        ([2, True], 1, "True is no whole number"),
        (0.0, 1, r"keep=0.0 as a fraction of the experts must lie in \(0, 1\]"),
        (1.5, 1, r"keep=1.5 as a fraction"),
        ([2], 1, "keep names 1 numbers of experts, but the model has 2 mixtures"),
        ([2, 7], 1, "keep=7"),
        (2, 0, "least=0: a mixture keeps one expert or more; Layer Drop"),
    ],
)
def test_impossible_numbers(keep: Any, least: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        kept_experts([experts()] * 2, TWO, keep, least=least)


def test_unknown_scope() -> None:
    with pytest.raises(ModelError, match="scope='local' is not one of layer, global"):
        kept_experts([experts()] * 2, TWO, 2, scope="local")  # type: ignore[arg-type]
