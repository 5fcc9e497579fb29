"""Linear probe, adapter, SparseAdapter and LoRA on the smoke task, and by hand."""

import copy
import dataclasses
import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.sparsity.masked import Masked
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.contracts.method import Method, NotApplicable
from sparsebench.suites.contracts.task import Setup, Task
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.adapters.lora import LoRA
from sparsebench.suites.methods.adapters.sparse_adapter import SparseAdapter
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.prediction.data import Examples, Splits
from sparsebench.suites.prediction.task import PredictionTask
from sparsebench.suites.training.views import BothViews
from sparsebench.suites.vtab.backbones import timm as timm_backbone
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.body import VisionBody
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from ..reasons import reason

METHODS: dict[str, Method] = {
    "linear_probe": LinearProbe(),
    "adapter": Adapter(rank=4, learning_rate=1e-2),
    "sparse_adapter": SparseAdapter(base_rank=4, learning_rate=1e-2),
    "random": SparseAdapter(base_rank=4, criterion="random", learning_rate=1e-2),
    "lora": LoRA(rank=4, learning_rate=1e-2),
}


def context(seed: int = 0, epochs: int = 15) -> Context:
    budget = Budget(epochs=epochs, batch_size=16, calibration_examples=32)
    return Context(suite="vtab", task="synthetic", seed=seed, budget=budget)


def ready(task: PredictionTask | None = None) -> Setup:
    return (task or Blobs()).setup(tiny.load, context())


def trainable(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", METHODS)
def test_methods_learn_the_colours(name: str) -> None:
    outcome = Blobs().run([METHODS[name]], tiny.load, context())
    assert outcome.metrics["accuracy"].value > 0.4, "chance is 0.25"
    assert outcome.costs is not None and 0 < outcome.costs.params_trainable < outcome.costs.params_total


@pytest.mark.parametrize("train", ["head", "all"])
def test_a_mixture_learns_the_colours(train: Any) -> None:
    """With "head" nothing but the head is fitted, as the linear probe does; with "all" every parameter trains."""
    method = RandomSplit(num_experts=4, top_k=2, train=train, learning_rate=1e-2)
    outcome = Blobs().run([method], tiny.load, context())
    assert outcome.metrics["accuracy"].value > 0.4, "chance is 0.25"
    assert outcome.costs is not None
    share = outcome.costs.params_trainable / outcome.costs.params_total
    assert share == 1 if train == "all" else share < 0.01


@pytest.mark.parametrize("name", METHODS)
def test_the_backbone_stays_as_it_was(name: str) -> None:
    setup = ready()
    before = {id(p): p.detach().clone() for p in setup.model.get_submodule("body").parameters()}
    model = METHODS[name].prepare(setup.model, setup.context)
    METHODS[name].fit(model, setup.data, setup.context)
    kept = [p for p in model.parameters() if id(p) in before]
    assert len(kept) == len(before) and all(torch.equal(p, before[id(p)]) for p in kept)


# Budgets


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("criterion", ["snip", "magnitude", "random"])
def test_sparse_adapter_meets_the_dense_budget(factor: int, criterion: Any) -> None:
    dense = trainable(Adapter(rank=4).prepare(ready().model, context()))
    setup = ready()
    method = SparseAdapter(base_rank=4, factor=factor, criterion=criterion)
    model = method.prepare(setup.model, setup.context)
    assert trainable(model) == dense + 2 * 4 * (factor - 1), "two blocks, the biases of the wider layer on top"


def test_adapter_counts() -> None:
    # Two blocks of width 32: 2 d r + r + d each; the head 4 x 32 + 4.
    assert trainable(Adapter(rank=4).prepare(ready().model, context())) == 2 * (2 * 32 * 4 + 4 + 32) + 132
    assert trainable(Adapter(rank=4, blocks=1).prepare(ready().model, context())) == 2 * 32 * 4 + 4 + 32 + 132
    assert trainable(LoRA(rank=4).prepare(ready().model, context())) == 2 * 2 * 2 * 32 * 4 + 132


def test_plain_pruning_removes_the_share() -> None:
    setup = ready()
    model = SparseAdapter(base_rank=4, factor=1, sparsity=0.75).prepare(setup.model, setup.context)
    layers = [layer for layer in model.modules() if isinstance(layer, Masked)]
    assert sum(layer.masked_out() for layer in layers) == 0.75 * sum(layer.shape.numel() for layer in layers)


def test_criteria_choose_different_weights() -> None:
    masks = []
    for criterion in ("snip", "magnitude", "random"):
        setup = ready()
        model = SparseAdapter(base_rank=4, criterion=criterion).prepare(setup.model, setup.context)  # type: ignore[arg-type]
        masks.append(torch.cat([m.mask.flatten() for m in model.modules() if isinstance(m, Masked)]))
    assert all(not torch.equal(masks[i], masks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_adapters_go_into_a_cnn_as_convolutions() -> None:
    setup = Blobs().setup(lambda generator: timm_backbone.load(generator, "tf_efficientnet_lite0"), context(epochs=1))
    model = Adapter(rank=2, blocks=3).prepare(setup.model, setup.context)
    kinds = {type(layer).__name__ for layer in model.modules() if isinstance(layer, Masked)}
    assert kinds == {"MaskedConv2d"}


# Where methods cannot run, and bad configurations


def test_a_timm_network_shows_its_family_when_loaded() -> None:
    for method, network in ((LoRA(), "tf_efficientnet_lite0"), (LoRA(), "resnet18"), (Adapter(), "mobileone_s0")):
        setup = Blobs().setup(functools.partial(timm_backbone.load, argument=network), context())
        with pytest.raises(NotApplicable):
            method.prepare(setup.model, setup.context)


@pytest.mark.parametrize("name", METHODS)
def test_tasks_that_do_not_train_are_refused(name: str) -> None:
    assert reason(Task, "vtab", "tiny", METHODS[name]) == "this task does not train"


def test_reasons_by_backbone() -> None:
    cnn = "efficientnet_lite0:64"
    assert "convolutional" in str(reason(Blobs, "vtab", cnn, LoRA())) and reason(Blobs, "vtab", "tiny", LoRA()) is None
    assert reason(Blobs, "vtab", cnn, Adapter()) is None
    assert "no transformer blocks" in str(reason(Blobs, "molecules", "ecfp4", Adapter()))
    assert reason(Blobs, "molecules", "ecfp4", LinearProbe()) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"factor": 1}, "give `sparsity`"),
        ({"factor": 0}, "must be 1 or more"),
        ({"sparsity": 1.5}, "from 0 to 1"),
    ],
)
def test_bad_sparse_adapter_configurations(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SparseAdapter(**config)


def test_bad_penalties() -> None:
    with pytest.raises(ValueError, match="above 0"):
        LinearProbe(penalties=(1.0, 0.0))


# The linear probe against closed forms


def toy(kind: Any, targets: Tensor, outputs: int) -> tuple[Setup, LinearProbe]:
    """A probe's input: the blobs with other targets."""

    class Toy(Blobs):
        target = Target(kind, outputs)

        def load(self) -> Splits:
            parts = super().load()
            return Splits(
                *(Examples(p.inputs, targets[: len(p.targets)].numpy()) for p in (parts.train, parts.val, parts.test))
            )

    return ready(Toy()), LinearProbe(penalties=(0.1,))


def features(setup: Setup) -> np.ndarray:
    model = setup.model.eval()
    with torch.no_grad():
        return model.get_submodule("body")(setup.data.collate(list(setup.data.train))[0]).double().numpy()


def test_ridge_is_the_closed_form_with_missing_targets() -> None:
    y = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)) * 3 + 5
    y[::4, 1] = math.nan
    setup, method = toy("regression", y, 2)
    model = method.prepare(setup.model, setup.context)
    method.fit(model, setup.data, setup.context)
    x = features(setup)
    z = (x - x.mean(0)) / x.std(0, ddof=1)
    for column in (0, 1):
        known = ~np.isnan(setup.data.train.targets[:, column].numpy())
        a, b = z[known] - z[known].mean(0), setup.data.train.targets[known, column].double().numpy()
        weight = np.linalg.solve(a.T @ a + 0.1 * known.sum() * np.eye(32), a.T @ (b - b.mean()))
        expected = (z[known] - z[known].mean(0)) @ weight + b.mean()
        with torch.no_grad():
            found = setup.model(setup.data.collate(list(setup.data.train))[0])[known, column].numpy()
        assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_logistic_fits_are_stationary(kind: str) -> None:
    labels = torch.tensor(Blobs().load().train.targets)
    if kind == "multilabel":
        y = torch.stack([(labels > 1), (labels % 2 == 0)], 1).float()
        y[::5, 0] = math.nan
    else:
        y = labels
    setup, method = toy(kind, y, 4 if kind == "classification" else 2)
    model = method.prepare(setup.model, setup.context)
    method.fit(model, setup.data, setup.context)
    head = copy.deepcopy(model.get_submodule("head")).double()
    x = torch.from_numpy(features(setup))
    deviation = x.std(0)
    penalty = 0.1 / 2 * (head.weight * deviation).square().sum(1)
    if kind == "classification":
        objective = nn.functional.cross_entropy(head(x), y) + penalty.sum()
    else:
        z, known = head(x), ~torch.isnan(y)
        losses = [
            nn.functional.binary_cross_entropy_with_logits(z[k, c], y[k, c].double()) for c, k in enumerate(known.T)
        ]
        objective = torch.stack(losses).sum() + penalty.sum()
    objective.backward()
    assert isinstance(head.weight.grad, Tensor)
    assert (head.weight.grad / deviation).abs().max() < 5e-3, "L-BFGS stops at 1e-4 of the sum over 64 examples"


def test_the_penalty_with_the_lowest_validation_loss_wins() -> None:
    setup = ready()
    method = LinearProbe()
    model = method.prepare(setup.model, setup.context)
    curve = method.fit(model, setup.data, setup.context)["val loss by penalty"]
    inputs, targets = setup.data.collate(list(setup.data.val))
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(inputs), targets).item()
    assert len(curve) == 5 and loss == pytest.approx(min(value for _, value in curve), rel=1e-3)


def test_a_class_without_examples_is_never_predicted() -> None:
    y = torch.arange(64) % 2
    setup, method = toy("classification", y, 3)
    model = method.prepare(setup.model, setup.context)
    method.fit(model, setup.data, setup.context)
    with torch.no_grad():
        outputs = model(setup.data.collate(list(setup.data.test))[0])
    assert set(outputs.argmax(1).tolist()) <= {0, 1} and torch.isfinite(outputs).all()


def test_two_classes_get_probabilities_of_the_binary_fit() -> None:
    y = torch.from_numpy((Blobs().load().train.targets > 1).astype(np.int64))
    two, method = toy("classification", y, 2)
    one, _ = toy("multilabel", y.float()[:, None], 1)
    outputs = []
    for setup in (two, one):
        model = method.prepare(setup.model, setup.context)
        method.fit(model, setup.data, setup.context)
        with torch.no_grad():
            outputs.append(model(setup.data.collate(list(setup.data.test))[0]))
    assert torch.allclose(outputs[0].softmax(1)[:, 1], outputs[1][:, 0].sigmoid(), atol=1e-3)


def test_a_label_of_one_class_gets_its_smoothed_frequency() -> None:
    setup, method = toy("multilabel", torch.stack([torch.ones(64), torch.arange(64) % 2], 1), 2)
    model = method.prepare(setup.model, setup.context)
    method.fit(model, setup.data, setup.context)
    with torch.no_grad():
        outputs = model(setup.data.collate(list(setup.data.test))[0])
    assert outputs[:, 0].sigmoid().numpy() == pytest.approx(np.full(64, 64.5 / 65), abs=1e-5)


def test_a_column_without_any_label_is_named() -> None:
    setup, method = toy("multilabel", torch.full((64, 1), math.nan), 1)
    with pytest.raises(ValueError, match="column 0 has no label"):
        method.fit(method.prepare(setup.model, setup.context), setup.data, setup.context)


def test_a_further_backbone_sees_the_same_images_at_its_own_size() -> None:
    def larger(generator: torch.Generator) -> VisionBody:
        return VisionBody(tiny.load(generator).network, 24)

    surroundings = dataclasses.replace(context(), further={"larger": larger})
    own = Blobs().setup(tiny.load, surroundings)
    further = own.context.load_backbone("larger")
    both = BothViews(own.data, further.data)
    (images, labels), (large, others) = both.collate([both.train[row] for row in range(6)])
    assert images.shape[-1] == 16 and large.shape[-1] == 24 and torch.equal(labels, others)
    shrunk = torch.nn.functional.interpolate(large, 16, mode="bicubic", antialias=True)
    assert (shrunk - images).abs().mean() < 0.1 < (shrunk.roll(1, 0) - images).abs().mean()
    assert not torch.equal(
        own.model.get_parameter("body.network.pos_embed"), further.model.get_parameter("body.network.pos_embed")
    )
