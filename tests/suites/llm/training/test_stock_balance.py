"""The balance loss of a stock mixture in training: transformers' own, over the real tokens of packed rows."""

from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, MixtralConfig, MixtralForCausalLM
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from sparsebench.models.loss_scale import scaled_losses
from sparsebench.suites.llm.language import CausalLM
from sparsebench.suites.llm.training.isolation import language_loss
from sparsebench.suites.llm.training.packing import Example, collate, pack
from sparsebench.suites.llm.training.stock_balance import stock_balance_loss

CPU = torch.device("cpu")


@pytest.fixture
def mixtral() -> Any:
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=4,
        num_experts_per_tok=2,
        router_aux_loss_coef=0.3,
        sliding_window=None,
    )
    return MixtralForCausalLM(config).train()


def packed() -> dict[str, Any]:
    draws = torch.Generator().manual_seed(1)
    examples = []
    for number, size in enumerate((9, 7, 5, 4)):
        ids = tuple(torch.randint(64, (size,), generator=draws).tolist())
        examples.append(Example(str(number), "law", ids, ids))
    return collate(pack(examples, 16), 16, CPU)


def test_it_is_that_of_transformers_over_real_tokens(mixtral: Any) -> None:
    """The gradient of the loss alone brings it along, scaled as the loss is."""
    mixtral.double().set_experts_implementation("eager")
    batch = packed()
    assert (batch["sequence_ids"] < 0).any()
    logits: Any = []
    hooks = []
    for layer in mixtral.model.layers:
        hooks.append(layer.mlp.gate.register_forward_hook(lambda module, args, output: logits.append(output[0])))
    gate = mixtral.model.layers[0].mlp.gate.weight
    task = language_loss(mixtral, batch)
    mask = (batch["sequence_ids"] >= 0).long()
    theirs: Any = 0.3 * load_balancing_loss_func(tuple(logits), 4, 2, mask)
    with_padding: Any = 0.3 * load_balancing_loss_func(tuple(logits), 4, 2)
    (expected,) = torch.autograd.grad(0.5 * (task + theirs), [gate])
    for hook in hooks:
        hook.remove()
    with stock_balance_loss(mixtral) as balance:
        loss = language_loss(mixtral, batch)
    assert balance().item() == pytest.approx(theirs.item(), abs=1e-6)
    assert abs(balance().item() - with_padding.item()) > 1e-4
    (whole,) = torch.autograd.grad(loss, [gate], retain_graph=True)
    with scaled_losses(0.5):
        (ours,) = torch.autograd.grad(0.5 * loss + balance(), [gate])
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(whole, 2 * expected, rtol=1e-6, atol=1e-9)


def test_it_is_nothing_in_evaluation_and_for_other_models(mixtral: Any, lm: CausalLM) -> None:
    batch = packed()
    assert isinstance(lm.model, LlamaForCausalLM)
    for model in (mixtral.eval(), lm.model.train()):
        with stock_balance_loss(model) as balance:
            language_loss(model, batch)
        assert balance().item() == 0.0


def test_no_hook_stays(mixtral: Any) -> None:
    with pytest.raises(ZeroDivisionError), stock_balance_loss(mixtral):
        raise ZeroDivisionError
    assert not any(module._forward_hooks for module in mixtral.modules())
