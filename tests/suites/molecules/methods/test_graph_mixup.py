"""Mixup of molecules: what is mixed, equal budgets, soft labels, and decoded molecules."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sparsebench.models.graphsgpt.decoding.output import Decoded
from sparsebench.models.graphsgpt.mixup import draw_fractions, neighbours
from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.molecules.backbones import tiny, tiny_encoder
from sparsebench.suites.molecules.features.graph2seq import Graph2SeqBody
from sparsebench.suites.molecules.methods import graph_mixup
from sparsebench.suites.molecules.methods.graph_mixup import GraphMixup, OriginalOrMixed, given_back, mixed_molecules
from sparsebench.suites.molecules.tasks.synthetic import Synthetic
from sparsebench.suites.prediction.data import PairedDataset

from ...reasons import reason
from ...training.toy import StopAt, StoppedError
from ..test_run import Labels

MakeContext = Callable[..., Context]


def setup(context: Context, task: Any = Synthetic) -> Setup:
    return task().setup(tiny_encoder.load, context)


def fitted(method: GraphMixup, context: Context, task: Any = Synthetic) -> tuple[Any, list[float]]:
    ready = setup(context, task)
    model = method.prepare(ready.model, ready.context)
    curve = method.fit(model, ready.data, ready.context)["train loss"]
    return model, [loss for _, loss in curve]


@pytest.fixture
def repeat(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A decoder that gives ethanol, but nothing for every fifth row; the sizes of its batches."""
    sizes: list[int] = []
    ethanol = tiny_encoder.load(torch.Generator()).encode(["CCO"])[0].numpy().T

    def decode(model: Any, words: Tensor, vocabulary: Any, config: Any) -> list[Decoded]:
        assert config.constrained and words.shape[1:] == (4, 32)
        sizes.append(len(words))
        invalid = [row % 5 == 0 for row in range(len(words))]
        return [
            Decoded(tokens=ethanol, log_prob=0.0, status="invalid" if bad else "complete", illegal=0) for bad in invalid
        ]

    monkeypatch.setattr(graph_mixup, "decode", decode)
    return sizes


@pytest.mark.parametrize("space", ["words", "molecules", "none"])
@pytest.mark.parametrize("task", [Synthetic, Labels])
def test_all_spaces_take_as_many_steps_and_learn(
    space: Any, task: Any, make_context: MakeContext, repeat: list[int]
) -> None:
    model, curve = fitted(GraphMixup(space=space, learning_rate=1e-3), make_context(), task)
    assert len(curve) == 192 // 32 and np.isfinite(curve).all() and not model.training
    assert bool(repeat) == (space == "molecules")


def test_without_mixing_it_is_full_tuning(make_context: MakeContext) -> None:
    from sparsebench.suites.methods.baselines.full_tuning import FullTuning

    one, curve = fitted(GraphMixup(space="none"), make_context())
    ready = setup(make_context())
    other = FullTuning(learning_rate=1e-4).prepare(ready.model, ready.context)
    expected = FullTuning(learning_rate=1e-4).fit(other, ready.data, ready.context)["train loss"]
    assert curve == [loss for _, loss in expected]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_mixed_features_are_those_of_mixed_words_with_mixed_labels(make_context: MakeContext) -> None:
    ready = setup(make_context())
    model: Any = GraphMixup().prepare(ready.model, ready.context)
    inputs, targets = batch = ready.data.collate(list(ready.data.train[:8]))
    draws = ready.context.task_generator("mixup")
    got = GraphMixup()._mixing_loss(model, ready.context, draws)(model, batch)
    features = model.body(inputs)
    partner = neighbours(features)
    share = draw_fractions(8, 1.0, ready.context.task_generator("mixup"))[:, None]
    outputs = model.head(share * features + (1 - share) * features[partner])
    expected = torch.nn.functional.mse_loss(outputs, share * targets + (1 - share) * targets[partner])
    assert torch.allclose(got, expected, atol=1e-6)
    alone = ready.data.collate(list(ready.data.train[:1]))
    assert torch.isfinite(GraphMixup()._mixing_loss(model, ready.context, draws)(model, alone))


def test_head_training_leaves_the_encoder_and_reads_it_once(make_context: MakeContext) -> None:
    ready = setup(make_context())
    before = copy.deepcopy(ready.model.state_dict())
    model = GraphMixup(train="head", learning_rate=1e-2).prepare(ready.model, ready.context)
    GraphMixup(train="head", learning_rate=1e-2).fit(model, ready.data, ready.context)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}


def test_seeds_and_draws_decide(make_context: MakeContext) -> None:
    curves = [fitted(GraphMixup(), make_context(seed))[1] for seed in (0, 0, 1)]
    assert curves[0] == curves[1] != curves[2]
    assert (
        curves[0] != fitted(GraphMixup(alpha=0.2), make_context())[1] != fitted(GraphMixup(rank=1), make_context())[1]
    )


def test_a_mixed_molecule_for_each_that_can_be_decoded(make_context: MakeContext, repeat: list[int]) -> None:
    ready = setup(make_context(), Labels)
    model: Any = ready.model
    pool = mixed_molecules(model, ready.data, ready.context, 1.0, 2, torch.Generator().manual_seed(0))
    assert repeat == [32] * 6
    assert len(pool) == 192 - 6 * 7, "rows 0, 5, 10, ... of each batch are invalid"
    assert all(len(item) == 5 for item, _ in pool), "tokens of ethanol"
    labels = pool.targets
    known = labels[~labels.isnan()]
    assert labels.shape[1] == 2 and labels.isnan().any() and ((known > 0) & (known < 1)).any()


def test_words_decode_to_molecules_that_the_body_can_read(make_context: MakeContext) -> None:
    ready = setup(make_context(train_fraction=0.1))
    model: Any = ready.model
    pool = mixed_molecules(model, ready.data, ready.context, 1.0, 2, torch.Generator().manual_seed(0))
    assert len(pool) == len(ready.data.train) == 19 and all(len(item) for item, _ in pool)


def test_what_comes_back_unmixed_is_noted(make_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = setup(make_context(train_fraction=0.1))
    model: Any = ready.model
    own = [item.numpy().T for item, _ in ready.data.train]
    answers = iter([own[:12], own[:7]])  # in batches of 12 and 7, of which the second is that of the first

    def decode(_: Any, words: Tensor, *rest: Any) -> list[Decoded]:
        found = next(answers)
        assert len(words) == len(found)
        return [Decoded(tokens=tokens, log_prob=0.0, status="complete", illegal=0) for tokens in found]

    monkeypatch.setattr(graph_mixup, "decode", decode)
    context = replace(ready.context, budget=replace(ready.context.budget, batch_size=12))
    same = sum(np.array_equal(one, other) for one, other in zip(own[12:], own[:7], strict=True))
    assert given_back(model, ready.data, context) == (12 + same) / 19 < 1


def test_originals_come_with_self_prob() -> None:
    original = PairedDataset([torch.zeros(1)] * 4, torch.zeros(4, 1))
    mixed = PairedDataset([torch.ones(1)] * 2, torch.ones(2, 1))

    def share(self_prob: float) -> float:
        examples = OriginalOrMixed(original, mixed, self_prob, torch.Generator().manual_seed(0))
        assert len(examples) == 4
        drawn = [examples[index % 4] for index in range(400)]
        assert all(float(item) == float(target) for item, target in drawn)
        return sum(float(item) == 0 for item, _ in drawn) / 400

    assert (share(1.0), share(0.0)) == (1.0, 0.0) and share(0.1) == pytest.approx(0.1, abs=0.04)


def test_class_numbers_of_originals_become_soft_too() -> None:
    original = PairedDataset([torch.zeros(1)], torch.tensor([2]))
    mixed = PairedDataset([torch.ones(1)], torch.tensor([[0.5, 0.5, 0.0]]))
    examples = OriginalOrMixed(original, mixed, 1.0, torch.Generator())
    assert examples[0][1].tolist() == [0, 0, 1]


def test_what_it_cannot_work_on(make_context: MakeContext) -> None:
    assert reason(Synthetic, "molecules", "gin", GraphMixup()) is not None
    assert reason(Synthetic, "molecules", "graph2seq", GraphMixup()) is None
    context = make_context()
    ready = Synthetic().setup(tiny.load, context)
    with pytest.raises(NotApplicable, match="GraphBody gives no graph words"):
        GraphMixup().prepare(ready.model, ready.context)
    encoder = tiny_encoder.load(torch.Generator()).network
    assert isinstance(encoder, Graph2Seq)
    ready = Synthetic().setup(lambda generator: Graph2SeqBody(encoder), context)
    with pytest.raises(NotApplicable, match="no decoder"):
        GraphMixup(space="molecules").prepare(ready.model, ready.context)
    assert GraphMixup().prepare(ready.model, ready.context) is ready.model


@pytest.mark.parametrize("fields", [{"alpha": 0.0}, {"rank": 0}, {"self_prob": 1.5}])
def test_config_is_checked(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        GraphMixup(**fields)


@pytest.mark.parametrize("space", ["words", "molecules"])
def test_a_stopped_training_goes_on_with_the_same_draws(
    space: Any, make_context: MakeContext, repeat: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = GraphMixup.settings
    monkeypatch.setattr(GraphMixup, "settings", lambda self, context: replace(plain(self, context), save_seconds=0.0))

    method = GraphMixup(space=space, learning_rate=1e-3)
    whole, _ = fitted(method, make_context())
    context = replace(make_context(), folder=tmp_path)
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(GraphMixup, "callbacks", lambda self, context: (StopAt(4),))
        fitted(method, context)
    resumed, _ = fitted(method, context)
    assert list(tmp_path.rglob("step-*-end"))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
