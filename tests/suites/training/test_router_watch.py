"""Curves of the routers while a model trains: counts by hand, and a training that does not change by it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.models.moe import AttnMoEConfig, MoEConfig, aux_loss, convert
from sparsebench.suites.training import router_watch
from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.router_watch import OCTAVE, RouterWatch, is_watched
from sparsebench.suites.training.settings import TrainSettings

from ..unwatched import hide_experts
from .toy import StopAt, StoppedError

Batch = dict[str, Tensor]
MOE = MoEConfig(num_experts=4, top_k=2, noise="shazeer", balance="cv2", balance_coef=0.1)


class Sentences:
    """Twelve rows of 6 tokens, of which those at the end of some are padding."""

    lengths = None

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(1, 32, (12, 6), generator=generator)
        lengths = torch.randint(3, 7, (12, 1), generator=generator)
        mask = (torch.arange(6) < lengths).long()
        self.train = list(zip(ids, mask, strict=True))

    def collate(self, rows: list[Any]) -> Batch:
        ids, mask = (torch.stack(part) for part in zip(*rows, strict=True))
        return {"input_ids": ids, "attention_mask": mask}


def llama() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4
    )
    return LlamaForCausalLM(config)


def loss(model: Any, batch: Batch) -> Tensor:
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    return model(**batch, labels=labels).loss + aux_loss(model)


def fit(model: nn.Module, *callbacks: Callback, steps: int = 36, save_every: int | None = None, **options: Any) -> Any:
    torch.manual_seed(5)  # the routers' noise
    return train(
        model,
        Sentences(),
        loss,
        groups=[Group.adamw("model", model, learning_rate=1e-2, weight_decay=0.0)],
        settings=TrainSettings(steps=steps, batch_size=3, accumulation=2, save_every=save_every),
        callbacks=callbacks,
        **options,
    )


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules())


def test_the_training_is_the_same_to_the_last_digit() -> None:
    found = []
    for callbacks in ((), (RouterWatch(),)):
        model = convert(llama(), MOE)
        result = fit(model, *callbacks)
        found.append((model.state_dict(), result.curves["train loss"], torch.get_rng_state()))
        assert ("router cv2" in result.curves) == bool(callbacks)
        assert hooks(model) == hooks(convert(llama(), MOE))
    (weights, losses, states), (watched_weights, watched_losses, watched_states) = found
    assert losses == watched_losses and torch.equal(states, watched_states)
    for name, weight in weights.items():
        assert torch.equal(weight, watched_weights[name]), name


class ByHand(Callback):
    """CV^2 of the real tokens' choices of each step, from what each layer's experts are called with."""

    def __init__(self, model: Any) -> None:
        self.picks = [[0] * 4 for _ in model.model.layers]
        self.mask: Tensor | None = None
        self.found: list[float] = []
        self.balance: list[float] = []
        model.register_forward_pre_hook(self._called, with_kwargs=True)
        for layer, picks in zip(model.model.layers, self.picks, strict=True):
            layer.mlp.experts.register_forward_pre_hook(lambda _, args, picks=picks: self._count(args[1], picks))

    def _called(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.mask = kwargs["attention_mask"]

    def _count(self, index_TK: Tensor, picks: list[int]) -> None:
        assert self.mask is not None
        for chosen, real in zip(index_TK.tolist(), self.mask.flatten().tolist(), strict=True):
            for expert in chosen:
                picks[expert] += real

    def on_step(self, state: TrainingState) -> None:
        values = []
        for picks in self.picks:
            mean = sum(picks) / 4
            values.append(sum((count - mean) ** 2 for count in picks) / 3 / mean**2)
            picks[:] = [0] * 4
        self.found.append(sum(values) / len(values))
        self.balance.append(aux_loss(state.models["model"]).item())


def test_the_curves_are_those_of_a_count_by_hand() -> None:
    model = convert(llama(), MOE)
    by_hand = ByHand(model)
    curves = fit(model, by_hand, RouterWatch()).curves
    steps = [*range(1, 32), 32, 34, 36]
    assert [step for step, _ in curves["router cv2"]] == steps
    assert [value for _, value in curves["router cv2"]] == pytest.approx([by_hand.found[step - 1] for step in steps])
    balance = [by_hand.balance[step - 1] for step in steps]
    assert curves["router balance loss"] == [(step, value) for step, value in zip(steps, balance, strict=True)]
    assert all(value > 0 for value in balance)
    agreement = curves["router agreement with the clean choice"]
    assert [step for step, _ in agreement] == steps
    assert all(0.3 < value < 0.7 for _, value in agreement), "2 of 4 experts, noise of 0.7 over logits near 0"


def test_evaluations_in_the_loop_do_not_count() -> None:
    ids = torch.arange(12).view(2, 6)
    curves = []
    for evaluate in (None, lambda model: {"val loss": float(model(input_ids=ids, labels=ids).loss)}):
        model = convert(llama(), MOE)
        curves.append(fit(model, RouterWatch(), steps=8, evaluate=evaluate).curves["router cv2"])
    assert curves[0] == curves[1]


@pytest.mark.parametrize("stop", [12, 34])
def test_a_training_that_goes_on_has_the_same_curves(stop: int, tmp_path: Path) -> None:
    whole = fit(convert(llama(), MOE), RouterWatch()).curves
    with pytest.raises(StoppedError):
        fit(convert(llama(), MOE), RouterWatch(), StopAt(stop), save_every=11, folder=tmp_path)
    model = convert(llama(), MOE)
    assert fit(model, RouterWatch(), save_every=11, folder=tmp_path).curves == whole
    assert hooks(model) == hooks(convert(llama(), MOE))
    model = convert(llama(), MOE)  # a training that had ended: nothing is left on the model
    assert fit(model, RouterWatch(), save_every=11, folder=tmp_path).curves == whole
    assert hooks(model) == hooks(convert(llama(), MOE))


def test_the_number_of_points_is_bounded() -> None:
    for steps in (31, 100, 1_000, 100_000):
        count = sum(map(is_watched, range(1, steps + 1)))
        assert count <= 2 * OCTAVE + OCTAVE * max(0.0, math.log2(steps / (2 * OCTAVE)) + 1)
    assert sum(map(is_watched, range(1, 1_001))) == 111


def test_models_without_a_mixture_or_a_balance_loss_have_no_such_curve() -> None:
    assert set(fit(llama(), RouterWatch(), steps=2).curves) == {"train loss"}
    plain = MoEConfig(num_experts=4, top_k=2, attn=AttnMoEConfig(num_experts=4, top_k=2))
    assert set(fit(convert(llama(), plain), RouterWatch(), steps=2).curves) == {"train loss", "router cv2"}


def test_a_mixture_that_cannot_be_watched_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    model = convert(llama(), MOE)
    hide_experts(monkeypatch)
    with pytest.warns(UserWarning, match=r"no curve of the routers: the experts of model\.layers\.0\.mlp"):
        curves = fit(model, RouterWatch(), steps=3).curves
    assert set(curves) == {"train loss"}


def test_processes_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a second process had seen the same tokens at expert 0 alone, and half the balance loss."""

    class Two:
        def __init__(self, device: torch.device) -> None:
            assert device.type == "cpu"

        def sum(self, values: list[float]) -> list[float]:
            if len(values) == 2:
                return [1.5 * values[0], 2 * values[1]]
            return [values[0] + sum(values), *values[1:]]

    models: list[Any] = [convert(llama(), MOE) for _ in range(2)]
    alone = fit(models[0], RouterWatch(), steps=1).curves
    monkeypatch.setattr(router_watch, "Processes", Two)
    both = fit(models[1], RouterWatch(), steps=1).curves
    assert both["router balance loss"][0][1] == pytest.approx(0.75 * alone["router balance loss"][0][1])
    assert both["router cv2"][0][1] > alone["router cv2"][0][1]


def test_two_processes_have_the_curves_of_one(forked: dict[str, Any]) -> None:
    """Of the same rows, of which each process has an unequal number."""
    assert forked["codes"]["two watched"] == [0, 0]
    first, second = forked["two watched"]
    assert first == second
    for name, points in forked["watched"].items():
        assert len(points) == 4
        torch.testing.assert_close(torch.tensor(first[name]), torch.tensor(points), rtol=1e-6, atol=0)
