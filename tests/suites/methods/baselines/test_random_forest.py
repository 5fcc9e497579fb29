"""The forest as tensors must say exactly what scikit-learn's forest says."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from torch import Tensor, nn

from sparsebench.models.counting import count_parameters
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.methods.baselines.random_forest import LEAST_PROBABILITY, ForestHead, RandomForestMethod
from sparsebench.suites.prediction.data import PredictionData, TargetScaler
from sparsebench.suites.prediction.feature_extractor import FeatureExtractor, LinearHeadModel

WIDTH = 12


class Same(FeatureExtractor):
    """Features as they are."""

    width = WIDTH
    unit = "molecule"

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


def features(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def fit(targets: np.ndarray, target: Target, seed: int = 0, trees: int = 7) -> tuple[LinearHeadModel, np.ndarray]:
    """A fitted model, and the features it was fitted on."""
    x = features(len(targets))
    context = Context(suite="molecules", task="t", seed=seed, budget=Budget(batch_size=16), target=target)
    method = RandomForestMethod(trees=trees)
    y = torch.as_tensor(targets)
    pairs = list(zip(torch.from_numpy(x), y if y.dtype == torch.int64 else y.float(), strict=True))
    body = Same()
    scale = TargetScaler(torch.tensor(0.0), torch.tensor(1.0))
    data = PredictionData(body, torch.device("cpu"), scale, pairs, pairs, pairs)
    model = LinearHeadModel(body, target.outputs, torch.Generator().manual_seed(0))
    model = method.prepare(model, context)
    method.fit(model, data, context)  # type: ignore[arg-type]
    return model, x  # type: ignore[return-value]


def outputs(model: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()


def planted(kind: str, forests: list, classes: int) -> ForestHead:
    head = ForestHead(kind)
    head.plant(forests, classes)
    return head


def test_regression_equals_scikit_learn():
    x, new = features(80), features(200, seed=1)
    y = x[:, 0] * 3 + x[:, 1] ** 2
    forest = RandomForestRegressor(9, random_state=0).fit(x, y)
    head = planted("regression", [forest], 1)
    np.testing.assert_allclose(outputs(head, new)[:, 0], forest.predict(new), rtol=1e-6)


def test_labels_equal_scikit_learn_column_by_column():
    x, new = features(80), features(200, seed=1)
    labels = (x[:, :2] + 0.3 * features(80, seed=2)[:, :2] > 0).astype(float)
    forests = [RandomForestClassifier(9, random_state=i).fit(x, column) for i, column in enumerate(labels.T)]
    got = torch.from_numpy(outputs(planted("multilabel", forests, 1), new)).double().sigmoid().numpy()
    wanted = np.stack([forest.predict_proba(new)[:, 1] for forest in forests], axis=1)
    np.testing.assert_allclose(got, wanted.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY), atol=1e-6)


def test_classes_equal_scikit_learn_even_if_one_is_absent():
    x, new = features(90), features(200, seed=1)
    y = np.where(x[:, 0] > 0.5, 3, np.where(x[:, 0] < -0.5, 0, 1))
    forest = RandomForestClassifier(9, random_state=0).fit(x, y)
    got = np.exp(outputs(planted("classification", [forest], 4), new))
    np.testing.assert_allclose(got[:, [0, 1, 3]], forest.predict_proba(new).clip(LEAST_PROBABILITY), atol=1e-6)
    assert got[:, 2] == pytest.approx(LEAST_PROBABILITY)


def test_missing_labels_do_not_count():
    x, target = features(60), Target("multilabel", 2)
    y = (x[:, :2] > 0).astype(float)
    y[::2, 0] = np.nan
    model, _ = fit(y, target)
    generator = Context(suite="molecules", task="t", seed=0, target=target).task_generator("forest")
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    forest = RandomForestClassifier(7, random_state=seed).fit(x[1::2], y[1::2, 0])
    got = torch.from_numpy(outputs(model, x)[:, 0]).double().sigmoid().numpy()
    np.testing.assert_allclose(got, forest.predict_proba(x)[:, 1], atol=2e-6)


def test_a_column_without_any_label_is_an_error():
    with pytest.raises(ValueError, match="target column 1 has no label"):
        fit(np.stack([np.ones(20), np.full(20, np.nan)], axis=1), Target("multilabel", 2))


def test_a_column_with_one_class_is_a_constant():
    model, x = fit(np.zeros((20, 1)), Target("multilabel", 1))
    assert outputs(model, x) == pytest.approx(np.log(LEAST_PROBABILITY), rel=1e-4)


def test_state_dict_fills_an_empty_forest():
    model, x = fit(features(40)[:, :1], Target("regression", 1))
    fresh = LinearHeadModel(Same(), 1, torch.Generator().manual_seed(0))
    fresh.head = ForestHead("regression")  # type: ignore[assignment]
    fresh.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(outputs(fresh, x), outputs(model, x))


def test_a_parameter_is_a_number_of_a_node():
    x = features(40)
    forest = RandomForestRegressor(5, random_state=0).fit(x, x[:, 0])
    head = planted("regression", [forest], 1)
    nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    assert count_parameters(head).total == nodes


def test_config_is_checked():
    assert dataclasses.asdict(RandomForestMethod()) == {"trees": 100}
    with pytest.raises(ValueError, match="trees must be 1 or more, not 0"):
        RandomForestMethod(trees=0)
