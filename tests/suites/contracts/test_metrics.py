"""Scores against values by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, roc_auc_score

from sparsebench.suites.contracts.context import Target
from sparsebench.suites.contracts.metrics import (
    accuracy,
    area_under_curve,
    correlations,
    macro_f1,
    root_mean_squared_error,
    score,
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_accuracy_and_its_standard_error_by_hand() -> None:
    outputs = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 9.0], [5.0, 0.0, 0.0]])
    scores = accuracy(outputs, torch.tensor([0, 1, 2, 1]))
    metric = scores.metrics["accuracy"]
    assert metric.value == 0.75 and metric.n == 4 and metric.chance == pytest.approx(1 / 3)
    assert metric.stderr == pytest.approx((0.75 * 0.25 / 3) ** 0.5)
    assert scores.examples == {"correct": [1, 1, 1, 0]} and scores.main == "accuracy"


def test_rmse_and_its_standard_error_by_hand() -> None:
    outputs = torch.tensor([[1.0], [2.0], [4.0]])
    targets = torch.tensor([[0.0], [2.0], [2.0]])
    metric = root_mean_squared_error(outputs, targets).metrics["rmse"]
    squares = np.array([1.0, 0.0, 4.0])
    assert metric.value == pytest.approx(squares.mean() ** 0.5) and metric.higher_is_better is False
    assert metric.stderr == pytest.approx(squares.std(ddof=1) / 3**0.5 / (2 * squares.mean() ** 0.5))


def test_rmse_error_agrees_with_a_bootstrap() -> None:
    outputs = torch.randn(2000, 1, generator=generator())
    metric = root_mean_squared_error(outputs, torch.zeros(2000, 1)).metrics["rmse"]
    rng, values = np.random.default_rng(0), outputs.numpy()[:, 0]
    draws = [np.sqrt(np.mean(rng.choice(values, len(values)) ** 2)) for _ in range(300)]
    assert metric.stderr == pytest.approx(np.std(draws), rel=0.15)


def test_missing_values_do_not_count_in_rmse() -> None:
    outputs = torch.tensor([[1.0, 5.0], [2.0, 7.0]])
    targets = torch.tensor([[0.0, float("nan")], [2.0, 7.0]])
    scores = root_mean_squared_error(outputs, targets)
    assert scores.metrics["rmse"].n == 3
    assert scores.metrics["rmse"].value == pytest.approx((1 / 3) ** 0.5)
    assert scores.examples["target"] == [[0.0, None], [2.0, 7.0]]


def test_perfect_prediction_has_no_standard_error() -> None:
    metric = root_mean_squared_error(torch.ones(3, 1), torch.ones(3, 1)).metrics["rmse"]
    assert metric.value == 0 and metric.stderr is None


def test_auc_agrees_with_scikit_learn_column_by_column() -> None:
    outputs = torch.randn(60, 3, generator=generator())
    targets = torch.randint(2, (60, 3), generator=generator()).float()
    targets[:10, 1] = float("nan")
    metric = area_under_curve(outputs, targets, generator()).metrics["roc_auc"]
    expected = [
        roc_auc_score(targets[known, column], outputs[known, column])
        for column in range(3)
        for known in [~torch.isnan(targets[:, column])]
    ]
    assert metric.value == pytest.approx(np.mean(expected))
    assert metric.n == 60 and metric.chance == 0.5 and 0 < metric.stderr < 0.1


def test_a_column_with_one_class_is_left_out() -> None:
    outputs = torch.tensor([[0.1, 3.0], [0.9, 1.0], [0.4, 2.0]])
    targets = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    assert area_under_curve(outputs, targets, generator()).metrics["roc_auc"].value == 1.0


def test_bootstrap_depends_on_its_generator_only() -> None:
    outputs = torch.randn(40, 1, generator=generator())
    targets = (torch.arange(40) % 2).float()[:, None]
    errors = [area_under_curve(outputs, targets, generator()).metrics["roc_auc"].stderr for _ in range(2)]
    other = area_under_curve(outputs, targets, torch.Generator().manual_seed(1)).metrics["roc_auc"].stderr
    assert errors[0] == errors[1] != other


@pytest.mark.parametrize(
    ("kind", "main"), [("classification", "accuracy"), ("regression", "rmse"), ("multilabel", "roc_auc")]
)
def test_the_target_chooses_the_score(kind: str, main: str) -> None:
    targets = (
        torch.tensor([0, 1, 1]) if kind == "classification" else torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    )
    assert score(torch.randn(3, 2, generator=generator()), targets, Target(kind, 2), generator()).main == main


@pytest.mark.parametrize("kind", ["classification", "regression", "multilabel"])
def test_outputs_that_are_not_finite_raise(kind: str) -> None:
    targets = torch.tensor([0, 1]) if kind == "classification" else torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    outputs = torch.tensor([[0.0, float("nan")], [1.0, 0.0]])
    with pytest.raises(FloatingPointError, match="not finite"):
        score(outputs, targets, Target(kind, 2), generator())


def test_no_scorable_column_raises() -> None:
    with pytest.raises(ValueError, match="no column"):
        area_under_curve(torch.rand(3, 1), torch.ones(3, 1), generator())


def test_macro_f1_is_that_of_scikit_learn() -> None:
    outputs = torch.randn(60, 5, generator=generator())
    targets = torch.randint(4, (60,), generator=generator())
    expected = f1_score(targets.numpy(), outputs.argmax(1).numpy(), average="macro")
    metric = macro_f1(outputs, targets, generator())
    assert metric.value == pytest.approx(expected)
    assert metric.stderr is not None and 0.02 < metric.stderr < 0.12


def test_macro_f1_weighs_a_rare_class_as_much_as_a_frequent_one() -> None:
    outputs = torch.tensor([[1.0, 0.0]]).repeat(10, 1)  # always the frequent class
    targets = torch.tensor([0] * 9 + [1])
    assert macro_f1(outputs, targets, generator()).value == pytest.approx((2 * 9 / (10 + 9) + 0) / 2)


def test_correlations_are_those_of_scipy() -> None:
    targets = torch.randn(50, 1, generator=generator())
    outputs = targets**3 + 0.5 * torch.randn(50, 1, generator=torch.Generator().manual_seed(1))
    x, y = outputs[:, 0].numpy(), targets[:, 0].numpy()
    found = correlations(outputs, targets, generator())
    assert found["pearson"].value == pytest.approx(pearsonr(x, y).statistic, rel=1e-5)
    assert found["spearman"].value == pytest.approx(spearmanr(x, y).statistic, rel=1e-5)
    assert all(metric.stderr is not None and 0 < metric.stderr < 0.1 for metric in found.values())


def test_a_constant_prediction_correlates_with_nothing() -> None:
    targets = torch.randn(20, 1, generator=generator())
    assert {m.value for m in correlations(torch.ones(20, 1), targets, generator()).values()} == {0.0}
