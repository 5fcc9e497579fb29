"""Weights that move while a model trains: when, from which batch on, what is noted, and that a state says all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.data.mixtures import MixtureStream, Strategy, strategy
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.mixing.held_out import HeldOut
from sparsebench.suites.training.mixing.updates import MixtureUpdates, mixture_cv2
from sparsebench.suites.training.settings import TrainSettings

from ..toy import StopAt, StoppedError

NAMES = ("code", "law", "math")
CONFIG = LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4)
LOW = {"code": 0, "law": 10, "math": 20}
"""The first token of each data set; each has ten of its own."""


def rows(name: str, count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(LOW[name])
    return [torch.randint(LOW[name], LOW[name] + 10, (6,), generator=generator) for _ in range(count)]


def loss(model: Any, batch: Tensor) -> Tensor:
    return model(input_ids=batch, labels=batch).loss


def mixture() -> Any:
    torch.manual_seed(0)
    return convert(LlamaForCausalLM(CONFIG), MoEConfig(num_experts=4, top_k=2, router_init="random"))


def held_out() -> HeldOut:
    return HeldOut(
        batches={name: [torch.stack(rows(name, 2))] for name in NAMES},
        loss=loss,
        weight=lambda batch: float(batch[:, 1:].numel()),
        forward=lambda model, batch: model(input_ids=batch),
    )


class Seen(Callback):
    """The weights of the stream after each step."""

    def __init__(self, stream: MixtureStream) -> None:
        self.stream = stream
        self.weights: list[dict[str, float]] = []

    def on_step(self, state: TrainingState) -> None:
        self.weights.append(self.stream.weights)


def fit(
    mixed: Strategy, interval: int = 2, steps: int = 6, folder: Path | None = None, **options: Any
) -> tuple[MixtureStream, list[dict[str, float]], Mapping[str, Any]]:
    model = options.pop("model", None) or mixture()
    stop = StopAt(options.pop("stop", 0))
    stream = MixtureStream(
        {name: rows(name, 8) for name in NAMES}, mixed.weights, batch_size=4, collate=torch.stack, seed=1
    )
    updates = MixtureUpdates(mixed, stream, held_out(), interval=interval, **options)
    seen = Seen(stream)
    result = train(
        model,
        stream,
        loss,
        groups=[Group.adamw("model", model, learning_rate=1e-2, weight_decay=0.0)],
        settings=TrainSettings(steps=steps, save_every=3, save_seconds=None),
        callbacks=[updates, seen, stop],
        folder=folder,
    )
    return stream, seen.weights, result.curves


def test_weights_move_every_interval_from_the_next_batch_on() -> None:
    mixed = strategy("gate_load", NAMES)
    stream, weights, curves = fit(mixed)
    uniform = dict.fromkeys(NAMES, pytest.approx(1 / 3))
    assert weights[0] == uniform and weights[1] != uniform
    assert weights[1] == weights[2] != weights[3] == weights[4]
    assert [start for start, _ in stream.draws.history] == [0, 8, 16, 24]
    assert [entry["steps"] for entry in mixed.rounds] == [0, 2, 4, 6]
    for name in NAMES:
        assert [step for step, _ in curves[f"mixing weight {name}"]] == [0, 2, 4, 6]
        assert [value for _, value in curves[f"mixing weight {name}"][1:]] == [w[name] for w in weights[1::2]]
        assert [value for _, value in curves[f"mixing delta {name}"]] == [r["deltas"][name] for r in mixed.rounds[1:]]
        loads = [curves[f"mixing load {expert} {name}"][0][1] for expert in range(4)]
        assert loads == pytest.approx(mixed.rounds[1]["loads"][name][-1])
    assert f"mixing loss {NAMES[0]}" not in curves
    assert all(0 < share < 1 for _, share in curves["mixing overhead"])
    _, _, curves = fit(strategy("uniform", NAMES), spent=1e6)
    assert all(share > 1 for _, share in curves["mixing overhead"])


def test_what_is_watched_is_measured_though_the_strategy_does_not_ask() -> None:
    _, weights, curves = fit(strategy("uniform", NAMES), watched=frozenset({"losses", "loads"}))
    assert weights[0] == weights[-1] and len(curves["mixing loss law"]) == len(curves["mixing cv2"]) == 3
    _, _, curves = fit(strategy("uniform", NAMES))
    assert "mixing loss law" not in curves and "mixing cv2" not in curves


def test_a_strategy_says_when_it_moves() -> None:
    """Before the first step and never again; after each step, with a point only every interval."""
    stream, weights, curves = fit(strategy("gate_load_static", NAMES))
    assert weights[0] == weights[-1] and len(set(weights[0].values())) > 1
    assert stream.draws.history[0] == (0, weights[0]) and curves["mixing weight code"][0] == (0, weights[0]["code"])
    _, weights, curves = fit(strategy("random", NAMES, seed=3, every="step"))
    assert len({tuple(one.values()) for one in weights}) == 6
    assert [step for step, _ in curves["mixing weight code"]] == [0, 2, 4, 6]


def test_a_training_that_goes_on_moves_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    _, whole, curves = fit(strategy("gate_load", NAMES))
    mixed = strategy("gate_load", NAMES)
    with pytest.raises(StoppedError):
        fit(mixed, folder=tmp_path, stop=5)
    again = strategy("gate_load", NAMES)
    _, rest, continued = fit(again, folder=tmp_path)
    assert rest == whole[3:] and [r["steps"] for r in again.rounds] == [0, 2, 4, 6]
    assert {k: v for k, v in continued.items() if k != "mixing overhead"} == {
        k: v for k, v in curves.items() if k != "mixing overhead"
    }
    assert len(continued["mixing overhead"]) == 3


def test_what_cannot_be_is_said_before_anything_trains() -> None:
    with pytest.raises(ValueError, match="interval=0"):
        fit(strategy("uniform", NAMES), interval=0)
    dense = LlamaForCausalLM(CONFIG)
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    with pytest.raises(ModelError, match="no mixture of experts"):
        fit(strategy("gate_load", NAMES), model=dense)
    assert all(torch.equal(before[name], value) for name, value in dense.state_dict().items())


def test_cv2_of_a_mixture() -> None:
    """Two sets that count alike, whatever their tokens: even together in layer 0, on one of two experts in layer 1."""
    code, law = np.array([[10.0, 0.0], [10.0, 0.0]]), np.array([[0.0, 2.0], [2.0, 0.0]])
    assert mixture_cv2([code, code * 3]) == pytest.approx(2.0)
    assert mixture_cv2([code, law]) == pytest.approx((0.0 + 2.0) / 2)
