"""Validation loss, and losses over tokens, of a real short training; after a stop too."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.bits_per_byte.task import window_bits
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.training.curves import LossByTokens, validation_loss
from sparsebench.suites.llm.training.isolation import language_loss
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.settings import TrainSettings


@pytest.fixture
def trained(context: Context) -> Callable[..., Any]:
    def run(steps: int, total: int, folder: Path | None = None) -> Any:
        setup = SyntheticDomains().setup(tiny.load, dataclasses.replace(context, task="synthetic_domains"))
        stop = LossByTokens()
        if steps < total:
            stop.on_step = stopping(stop, steps)  # type: ignore[method-assign]
        return train(
            setup.model,
            setup.data,
            language_loss,
            groups=[Group.adamw("model", setup.model, learning_rate=1e-2, weight_decay=0.0)],
            settings=TrainSettings(steps=total, batch_size=2, eval_every=2, save_every=1),
            weight=setup.data.weight,
            tokens=setup.context.tokens,
            callbacks=[stop],
            evaluate=validation_loss(setup.data, setup.context),
            folder=folder,
        )

    return run


def stopping(callback: LossByTokens, steps: int) -> Callable[[Any], None]:
    def on_step(state: Any) -> None:
        if state.step > steps:
            raise KeyboardInterrupt
        LossByTokens.on_step(callback, state)

    return on_step


def test_curves_by_tokens_are_those_by_steps(trained: Callable[..., Any]) -> None:
    result = trained(5, 5)
    per_step = 2 * 64
    for name, places in (("train loss", [1, 2, 3, 4, 5]), ("val loss", [2, 4, 5]), ("val bits per byte", [2, 4, 5])):
        steps = result.curves[name]
        assert [step for step, _ in steps] == places
        assert result.curves[f"{name} by tokens"] == [(step * per_step, value) for step, value in steps]
    values = [value for _, value in result.curves["val loss"]]
    assert values[-1] < values[0]


def test_curves_go_on_after_a_stop(trained: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(3, 5, tmp_path)
    assert trained(5, 5, tmp_path).curves == trained(5, 5).curves


def test_the_validation_loss_is_the_mean_of_its_tokens(context: Context) -> None:
    setup = SyntheticDomains().setup(tiny.load, dataclasses.replace(context, task="synthetic_domains"))
    rows = [row for group in setup.data.groups for row in setup.data.only([group]).held_out[:3]]
    losses = [language_loss(setup.model, setup.data.collate([row])).item() for row in rows]
    with torch.no_grad():
        found = validation_loss(setup.data, setup.context, rows=3)(setup.model)
        without = validation_loss(dataclasses.replace(setup.data, tokenizer=None), setup.context, rows=3)(setup.model)
    loss = pytest.approx(sum(losses) / len(losses), abs=1e-6)
    assert without == {"val loss": loss}
    bits = window_bits(setup.model, torch.tensor([row.examples[0].ids for row in rows]), 2)
    written = sum(len(row.examples[0].ids) - 1 for row in rows)  # tokens are bytes here
    assert found == {"val loss": loss, "val bits per byte": pytest.approx(sum(bits) / written, abs=1e-5)}
    with pytest.raises(ValueError, match="no held-out part"):
        validation_loss(setup.data.val, setup.context)
