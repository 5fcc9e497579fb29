"""Random forest on frozen features

Source: Breiman (2001), Random Forests; grown by scikit-learn with its defaults. One forest per column of the target, on
the examples whose label is known; one forest for all classes where each example has one class.

The grown trees become tensors of a torch module, so that they are evaluated, timed, counted and saved like any other
head. A parameter is one number of one node: the threshold of an inner node or the prediction of a leaf.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from torch import Tensor, nn

from sparsebench.models.state_loading import PreparesLoading, Problems

from ...contracts.context import Context, Target
from ...contracts.method import Curves, Method
from ...contracts.traits import FEATURE_VECTORS, TRAINING_DATA
from ...prediction.data import PredictionData, targets_of
from ...prediction.feature_extractor import LinearHeadModel
from ...prediction.task import forward_flops, predict

Forest = RandomForestClassifier | RandomForestRegressor

LEAST_PROBABILITY = 1e-6
"""Probabilities are kept this far from 0 and 1, so that their logarithms are finite."""


class ForestHead(PreparesLoading):
    """F forests of T trees each, as flat tables of all their nodes (M rows). Empty until `plant` or `load_state_dict`.

    Maps features (B, width) to (B, F * C), where C is the number of values in a leaf: logits of labels, log
    probabilities of classes, or regression values. A leaf is its own left and right child, so that walking on does
    not leave it.
    """

    value: Tensor
    feature: Tensor
    left: Tensor
    right: Tensor
    roots: Tensor
    depth: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.value = nn.Parameter(torch.zeros(0, 1, dtype=torch.float64))
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int32))
        self.register_buffer("roots", torch.zeros(0, 0, dtype=torch.int32))
        self.register_buffer("depth", torch.tensor(0))

    def plant(self, forests: Sequence[Forest], classes: int) -> None:
        """Take over the trees of scikit-learn forests; `classes` is the number of values in a leaf."""
        features = []
        lefts = []
        rights = []
        values = []
        roots = []
        depth = 0
        rows = 0
        for forest in forests:
            for estimator in forest.estimators_:
                tree = estimator.tree_
                feature, left, right = _nodes(tree, rows)
                features.append(feature)
                lefts.append(left)
                rights.append(right)
                values.append(_values(tree, forest, classes))
                roots.append(rows)
                depth = max(depth, tree.max_depth)
                rows += tree.node_count
        self.feature = torch.as_tensor(np.concatenate(features), dtype=torch.int32)
        self.left = torch.as_tensor(np.concatenate(lefts), dtype=torch.int32)
        self.right = torch.as_tensor(np.concatenate(rights), dtype=torch.int32)
        self.value = nn.Parameter(torch.as_tensor(np.concatenate(values)))
        self.roots = torch.as_tensor(roots, dtype=torch.int32).view(len(forests), -1)
        self.depth = torch.tensor(depth)

    def forward(self, features: Tensor) -> Tensor:
        """Outputs of shape (B, F * C), in the features' dtype."""
        x = features.double()
        feature = self.feature.long()
        left = self.left.long()
        right = self.right.long()
        node = self.roots.long().flatten().expand(len(x), -1)
        for _ in range(int(self.depth)):
            goes_left = x.gather(1, feature[node]) <= self.value[node, 0]
            node = torch.where(goes_left, left[node], right[node])
        leaves = self.value[node].unflatten(1, tuple(self.roots.shape))
        return self._link(leaves.mean(dim=2).flatten(1)).to(features.dtype)

    def _link(self, means: Tensor) -> Tensor:
        if self.kind == "regression":
            return means
        means = means.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        return means.log() if self.kind == "classification" else means.logit()

    def prepare_loading(
        self, state: dict[str, Any], prefix: str, metadata: Mapping[str, Any], problems: Problems
    ) -> None:
        """Take the sizes of the stored forest before its values are copied in."""
        for name, own in [*self.named_parameters(), *self.named_buffers()]:
            if prefix + name in state:
                own.data = own.data.new_empty(state[prefix + name].shape)


@dataclass(frozen=True, kw_only=True)
class RandomForestMethod(Method):
    """The body stays as it is; the linear head gives way to forests."""

    trees: int = 100
    """Trees in each forest."""

    def __post_init__(self) -> None:
        if self.trees < 1:
            raise ValueError(f"trees must be 1 or more, not {self.trees}")

    @property
    def needs(self) -> frozenset[str]:
        """One feature vector and one target per example."""
        return frozenset({TRAINING_DATA, FEATURE_VECTORS})

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen body with an empty forest."""
        backbone.requires_grad_(False)
        backbone.head = ForestHead(context.target.kind)
        return backbone

    def fit(self, model: nn.Module, data: PredictionData, context: Context) -> Curves:
        """Grow the forests on the features of the training part. Raises ValueError for a column without a label.

        Training costs are those of the features; comparisons of the trees are no floating-point operations.
        """
        model = cast(LinearHeadModel, model)
        start = data.clock()
        features = predict(model.body, data.train, data, context.budget.batch_size).numpy()
        targets = targets_of(data.train).numpy()
        columns = [targets] if context.target.kind == "classification" else list(targets.T)
        generator = context.task_generator("forest")
        forests = []
        for index, column in enumerate(columns):
            known = np.ones(len(column), bool) if column.dtype == np.int64 else ~np.isnan(column)
            if not known.any():
                raise ValueError(f"target column {index} has no label in the training part")
            seed = int(torch.randint(2**31 - 1, (), generator=generator))
            forests.append(self._forest(context.target, seed).fit(features[known], column[known]))
        head: nn.Module = model.head
        if not isinstance(head, ForestHead):
            raise TypeError(f"prepare comes before fit: the head is a {type(head).__name__}")
        head.plant(forests, context.target.outputs if context.target.kind == "classification" else 1)
        context.ledger.count(head.parameters())
        operations = forward_flops(model.body, data.train, data, context.budget.batch_size)
        context.ledger.add(seconds=data.clock() - start, flops=operations)
        return {}

    def _forest(self, target: Target, seed: int) -> Forest:
        kind = RandomForestRegressor if target.kind == "regression" else RandomForestClassifier
        return kind(n_estimators=self.trees, random_state=seed, n_jobs=1)


def _nodes(tree: Any, root: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature, left child and right child of each node of a tree whose root becomes row `root`."""
    itself = np.arange(tree.node_count)
    leaf = tree.children_left == -1
    left = np.where(leaf, itself, tree.children_left)
    right = np.where(leaf, itself, tree.children_right)
    feature = np.where(leaf, 0, tree.feature)
    return feature, left + root, right + root


def _values(tree: Any, forest: Forest, classes: int) -> np.ndarray:
    """Leaves: mean target, probability of label 1, or of each class. Inner nodes: the threshold in column 0."""
    values = np.zeros((tree.node_count, classes))
    if isinstance(forest, RandomForestRegressor):
        values[:] = tree.value[:, 0, :]
    elif classes == 1:
        values[:, 0] = tree.value[:, 0, :] @ forest.classes_
    else:
        values[:, forest.classes_] = tree.value[:, 0, :]
    inner = tree.children_left != -1
    values[inner] = 0.0
    values[inner, 0] = tree.threshold[inner]
    return values
