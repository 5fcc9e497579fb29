"""The balance loss under a real `Trainer` against a loop by hand: losses, router gradients, a stop and going on."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.loss_scale import loss_scale
from sparsebench.models.moe import MoEConfig, aux_loss, convert
from sparsebench.models.moe.hf_trainer.balance_callback import BalanceLossCallback
from sparsebench.models.moe.hf_trainer.health_callback import RouterHealthCallback

from ..routing.by_hand import counted
from .tiny_trainer import MICRO, STEPS, Gradients, by_hand, logged, trainer
from .tiny_trainer import gradients as gradients_of

Build = Callable[[str], Any]
CONFIG = MoEConfig(num_experts=5, top_k=2, balance="cv2", balance_coef=0.5)
COEFFICIENT = 0.5


def switch(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """As transformers computes it from the logits of all routers."""
    out = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], output_router_logits=True)
    return COEFFICIENT * out.aux_loss


def assert_same(
    done: Any, callback: Gradients, expected: tuple[list[float], list[float], list[dict[str, Tensor]]]
) -> None:
    losses, balances, found = expected
    assert logged(done, "loss") == pytest.approx(losses, abs=1e-6, rel=1e-6)
    assert logged(done, "balance_loss") == pytest.approx(balances, abs=1e-6, rel=1e-6)
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
    assert min(expected[1]) > 0.01


def test_a_stock_mixture_trains_as_by_hand(build: Build, tmp_path: Path) -> None:
    """Transformers alone adds the balance loss whole to each micro-batch; by hand it is a mean over them."""
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
    name = "model.layers.0.mlp"
    picks = torch.tensor(counted(model, [f"{name}.router"], done.data_collator.batches[:2])[name].picks).float()
    assert torch.equal(found, rate * (picks.mean() - picks).sign())
    assert found.any()


def test_a_training_that_broke_off_adds_it_once(build: Build, tmp_path: Path) -> None:
    callback = BalanceLossCallback()
    model = convert(build("llama"), CONFIG)
    done = trainer(model, tmp_path, [callback])
    callback.on_train_begin(done.args, done.state, done.control, model=model)
    callback.on_train_begin(done.args, done.state, done.control, model=model)
    mixture = model.model.layers[0].mlp
    assert len(mixture._forward_hooks) == 1
    callback.on_step_begin(done.args, done.state, done.control, optimizer=SimpleNamespace(scaler=Scaler()))
    assert loss_scale() == 1024 / MICRO
    callback.on_train_end(done.args, done.state, done.control)
    assert not mixture._forward_hooks and loss_scale() == 1


class Scaler:
    """What half precision multiplies the loss with."""

    def get_scale(self) -> float:
        return 1024.0


def test_a_model_without_a_balance_loss_is_refused(build: Build, tmp_path: Path) -> None:
    for model in (build("llama"), convert(build("llama"), MoEConfig())):
        with pytest.raises(ModelError, match="no balance loss to add: convert with balance="):
            trainer(model, tmp_path, [BalanceLossCallback()]).train()


@pytest.mark.parametrize("kind", ["compute_loss_func", "label smoothing"])
def test_a_loss_of_ones_own_balances_as_well(build: Build, tmp_path: Path, kind: str) -> None:
    """The labels never come to the model. Labels that are all the same leave the router to the balance loss."""
    found = []
    for callbacks in ([BalanceLossCallback()], []):
        model = convert(build("llama"), CONFIG)
        gradients = Gradients("router")
        changes: dict[str, Any] = {"label_smoothing_factor": 0.1} if kind == "label smoothing" else {}
        done = trainer(model, tmp_path, [*callbacks, gradients], learning_rate=0.0, **changes)
        if kind == "compute_loss_func":
            done.compute_loss_func = lambda outputs, labels, num_items_in_batch=None: 0 * outputs.logits.sum()
        done.train()
        found.append((gradients.steps, logged(done, "loss"), logged(done, "balance_loss")))
    (balanced, losses, values), (plain, same, none) = found
    assert losses == same and len(values) == STEPS and min(values) > 0 and not none
    model = convert(build("llama"), CONFIG).train()
    for step in range(STEPS):
        model.zero_grad()
        for batch in done.data_collator.batches[step * MICRO : (step + 1) * MICRO]:
            model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
            (aux_loss(model) / MICRO).backward()
        for name, expected in gradients_of(model, "router").items():
            here = balanced[step][name] - plain[step][name]
            torch.testing.assert_close(here, expected, rtol=1e-4, atol=1e-6, msg=name)
            assert expected.norm() > 1e-3


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers
@pytest.mark.parametrize("kind", ["converted", "stock"])
def test_a_model_of_peft_is_balanced_and_watched(build: Build, tmp_path: Path, kind: str) -> None:
    model = convert(build("llama"), CONFIG) if kind == "converted" else build("mixtral")
    wrapped = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    done = trainer(wrapped, tmp_path, [BalanceLossCallback(None if kind == "converted" else 0.5)])
    done.add_callback(RouterHealthCallback(done))
    done.train()
    assert len(logged(done, "balance_loss")) == len(logged(done, "router_cv2")) == STEPS
    assert min(logged(done, "balance_loss")) > 0
