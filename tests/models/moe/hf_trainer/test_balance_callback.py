"""The balance loss under a real `Trainer` against a loop by hand: losses, router gradients, a stop and going on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, aux_loss, convert
from sparsebench.models.moe.hf_trainer.balance_callback import BalanceLossCallback

from .tiny_trainer import STEPS, Gradients, by_hand, logged, trainer

Build = Callable[[str], Any]
CONFIG = MoEConfig(num_experts=5, top_k=2, balance="cv2", balance_coef=0.5)
COEFFICIENT = 0.5


def switch(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """N sum_e f_e P_e of the real tokens and all layers, with the model's own router weights, slowly."""
    inputs = []
    hooks = []
    for layer in model.model.layers:
        gate = layer.mlp.gate
        hooks.append(gate.register_forward_pre_hook(lambda module, args: inputs.append((module.weight, args[0]))))
    model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    for hook in hooks:
        hook.remove()
    real = batch["attention_mask"].flatten().bool()
    picks = torch.zeros(4, dtype=torch.float64)
    probability = torch.zeros(4, dtype=torch.float64)
    for weight, x in inputs:
        for token in x.flatten(0, -2)[real]:
            chances = (weight @ token).double().softmax(0)
            probability = probability + chances
            for expert in chances.topk(2).indices:
                picks[expert] += 1
    tokens = int(real.sum()) * len(inputs)
    return (COEFFICIENT * 4 * (picks / tokens * probability / tokens).sum()).float()


def assert_same(done: Any, callback: Gradients, expected: tuple[list[float], list[dict[str, Tensor]]]) -> None:
    losses, found = expected
    assert logged(done, "loss") == pytest.approx(losses, abs=1e-6, rel=1e-6)
    for here, there in zip(callback.steps, found, strict=True):
        for name, gradient in here.items():
            torch.testing.assert_close(gradient, there[name], rtol=1e-5, atol=1e-6)
            assert gradient.abs().max() > 0.01


def test_a_converted_model_trains_as_by_hand(build: Build, tmp_path: Path) -> None:
    callback = Gradients("router")
    done = trainer(convert(build("llama"), CONFIG), tmp_path, [BalanceLossCallback(), callback])
    done.train()
    model = convert(build("llama"), CONFIG)
    expected = by_hand(model, done.data_collator.batches, lambda model, batch: aux_loss(model), "router")
    assert_same(done, callback, expected)
    without = by_hand(
        convert(build("llama"), CONFIG), done.data_collator.batches, lambda model, batch: torch.zeros(()), "router"
    )
    assert abs(without[0][0] - expected[0][0]) > 0.01


def test_a_stock_mixture_trains_as_by_hand(build: Build, tmp_path: Path) -> None:
    """Transformers alone adds the balance loss whole to each micro-batch; by hand it is a mean over the step."""
    callback = Gradients("gate.weight")
    model = build("mixtral")
    before = (model.config.output_router_logits, model.config.router_aux_loss_coef)
    done = trainer(model, tmp_path, [BalanceLossCallback(COEFFICIENT), callback])
    done.train()
    assert (model.config.output_router_logits, model.config.router_aux_loss_coef) == before
    assert model.router_aux_loss_coef == before[1]
    assert_same(done, callback, by_hand(build("mixtral"), done.data_collator.batches, switch, "gate.weight"))


def test_evaluation_has_no_balance_loss(build: Build, tmp_path: Path) -> None:
    model = convert(build("llama"), CONFIG)
    found = []
    for callbacks in ([BalanceLossCallback()], []):
        done = trainer(model, tmp_path, callbacks, learning_rate=0.0, eval_strategy="steps", eval_steps=2)
        done.train()
        found.append(logged(done, "eval_loss"))
    assert found[0] == found[1]


def test_a_training_goes_on_bit_for_bit(build: Build, tmp_path: Path) -> None:
    config = MoEConfig(num_experts=5, balance="cv2", noise="shazeer", router="mlp")
    settings: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "optim": "adamw_torch"}
    whole = trainer(convert(build("llama"), config), tmp_path, [BalanceLossCallback()], **settings)
    whole.train()
    again = trainer(convert(build("llama"), config), tmp_path, [BalanceLossCallback()], **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert logged(again, "loss") == logged(whole, "loss")
    assert len(logged(whole, "loss")) == STEPS
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_biases_move_after_each_step_by_all_its_micro_batches(build: Build, tmp_path: Path) -> None:
    """By the fixed rate, towards the experts that fewer tokens chose; counted by hand with weights that stay."""
    rate = 0.001
    model = convert(build("llama"), MoEConfig(num_experts=5, top_k=2, balance="bias", bias_rate=rate))
    done = trainer(model, tmp_path, [BalanceLossCallback()], learning_rate=0.0, max_steps=1)
    done.train()
    router = model.model.layers[0].mlp.router
    found = router.choice_bias.value.clone()
    router.choice_bias.value.zero_()
    picks = torch.zeros(5)
    hook = router.register_forward_hook(lambda module, args, out: chosen.append(out.index))
    for batch in done.data_collator.batches[:2]:
        chosen: list[Tensor] = []
        with torch.no_grad():
            model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        picks += torch.bincount(chosen[0][batch["attention_mask"].flatten().bool()].flatten(), minlength=5)
    hook.remove()
    assert torch.equal(found, rate * (picks.mean() - picks).sign())
    assert found.any()


def test_a_training_that_broke_off_adds_it_once(build: Build, tmp_path: Path) -> None:
    callback = BalanceLossCallback()
    model = convert(build("llama"), CONFIG)
    done = trainer(model, tmp_path, [callback])
    callback.on_train_begin(done.args, done.state, done.control, model=model)
    callback.on_train_begin(done.args, done.state, done.control, model=model)
    assert len(model._forward_hooks) == 1
    callback.on_train_end(done.args, done.state, done.control)
    assert not model._forward_hooks


def test_a_model_without_a_balance_loss_is_refused(build: Build, tmp_path: Path) -> None:
    for model in (build("llama"), convert(build("llama"), MoEConfig())):
        with pytest.raises(ModelError, match="no balance loss to add: convert with balance="):
            trainer(model, tmp_path, [BalanceLossCallback()]).train()


def test_a_loss_that_never_sees_the_models_own_is_refused(build: Build, tmp_path: Path) -> None:
    model = convert(build("llama"), CONFIG)
    with pytest.raises(ModelError, match="returned no loss in training"):
        trainer(model, tmp_path, [BalanceLossCallback()], label_smoothing_factor=0.1).train()


def test_a_coefficient_of_a_converted_model_is_refused(build: Build, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"coefficient=0\.1 is for stock mixtures"):
        trainer(convert(build("llama"), CONFIG), tmp_path, [BalanceLossCallback(0.1)]).train()
