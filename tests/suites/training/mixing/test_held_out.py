"""What a strategy sees: counts by hand, without padding, of converted and stock mixtures, over all processes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, OlmoeConfig, OlmoeForCausalLM

from sparsebench.data.errors import MixtureError
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert
from sparsebench.models.moe.stock_export import export
from sparsebench.suites.training.mixing.held_out import HeldOut, check_readable, measure
from sparsebench.suites.training.processes import Processes

Batch = dict[str, Tensor]
SIZES: dict[str, Any] = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4}
LOADS, LOSSES, BOTH = frozenset({"loads"}), frozenset({"losses"}), frozenset({"loads", "losses"})
MOE = MoEConfig(num_experts=4, top_k=2, router_init="random", noise="shazeer", score="softmax_topk", renorm=True)


def llama() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, intermediate_size=32))


def converted() -> Any:
    return convert(llama(), MOE)


def olmoe() -> Any:
    torch.manual_seed(0)
    return OlmoeForCausalLM(OlmoeConfig(**SIZES, intermediate_size=16, num_experts=4, num_experts_per_tok=2))


def batch(seed: int, rows: int, padding: int = 0) -> Batch:
    """Rows of six tokens, with padding on the right."""
    ids = torch.randint(1, 32, (rows, 6), generator=torch.Generator().manual_seed(seed))
    mask = torch.cat([torch.ones(rows, 6), torch.zeros(rows, padding)], 1).long()
    return {"input_ids": nn.functional.pad(ids, (0, padding), value=7), "attention_mask": mask}


def loss(model: Any, batch: Batch) -> Tensor:
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    return model(**batch, labels=labels).loss


def held_out(batches: dict[str, list[Batch]]) -> HeldOut:
    return HeldOut(
        batches=batches,
        loss=loss,
        weight=lambda batch: float(batch["attention_mask"][:, 1:].sum()),
        forward=lambda model, batch: model(**batch),
    )


def sets(padding: int = 0) -> HeldOut:
    return held_out({"code": [batch(0, 3, padding), batch(1, 1, padding)], "law": [batch(2, 2, padding)]})


class SentError(Exception):
    """What a process sends to the others."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = values


class Share(Processes):
    """Process `rank` of `count`, none of which waits for the others: what it would send is raised."""

    def __init__(self, rank: int = 0, count: int = 1, send: bool = False) -> None:
        super().__init__(torch.device("cpu"))
        self.rank, self.count, self.send = rank, count, send

    def sum(self, values: Any) -> list[float]:
        if self.send:
            raise SentError(list(values))
        return list(values)


def by_hand(model: Any, batches: list[Batch]) -> np.ndarray:
    """Choices of the experts, token by token, of what the router of each layer is called with."""
    counts = np.zeros((3, 4))
    inputs: list[Tensor] = []
    hooks = []
    for layer in model.model.layers:
        hooks.append(layer.mlp.register_forward_pre_hook(lambda _, args: inputs.append(args[0].flatten(0, 1))))
    model.eval()
    for one in batches:
        inputs.clear()
        with torch.no_grad():
            model(**one)
        real = one["attention_mask"].flatten().bool()
        for number, layer in enumerate(model.model.layers):
            router = layer.mlp.router if hasattr(layer.mlp, "router") else layer.mlp.gate
            for token in inputs[number][real]:
                for expert in (router.weight @ token).topk(2).indices.tolist():
                    counts[number, expert] += 1
    for hook in hooks:
        hook.remove()
    return counts


@pytest.mark.parametrize("build", [converted, olmoe])
def test_loads_are_counted_by_hand(build: Any) -> None:
    model = build()
    read = sets(padding=2)
    loads = measure(model, read, LOADS, Share()).loads
    assert loads is not None
    for name, batches in read.batches.items():
        np.testing.assert_array_equal(loads[name], by_hand(model, list(batches)))
    assert loads["code"].sum() == 4 * 6 * 2 * 3


@pytest.mark.parametrize("build", [converted, olmoe])
def test_padding_never_counts(build: Any) -> None:
    model = build()
    without, padded = (measure(model, sets(padding), BOTH, Share()) for padding in (0, 5))
    assert without.loads is not None and padded.loads is not None
    for name in without.loads:
        np.testing.assert_array_equal(without.loads[name], padded.loads[name])
    assert padded.losses == pytest.approx(without.losses, abs=1e-6)


def test_a_converted_mixture_and_its_stock_export_have_the_same_loads(tmp_path: Path) -> None:
    model = converted().eval()
    export(model, tmp_path)
    stock = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(stock).__module__.startswith("transformers.")
    ours, theirs = (measure(one, sets(2), BOTH, Share()) for one in (model, stock))
    assert ours.loads is not None and theirs.loads is not None
    for name in ours.loads:
        np.testing.assert_array_equal(ours.loads[name], theirs.loads[name])
    assert ours.losses == pytest.approx(theirs.losses, abs=1e-5)


def test_losses_are_means_over_all_tokens() -> None:
    model = llama().eval()
    signal = measure(model, sets(), LOSSES, Share(), steps=7)
    both = {name: torch.cat([batch(0, 3)[name], batch(1, 1)[name]]) for name in batch(0, 1)}
    assert signal.losses is not None and signal.loads is None and signal.steps == 7
    assert signal.losses["code"] == pytest.approx(loss(model, both).item(), abs=1e-6)
    assert signal.losses["law"] == pytest.approx(loss(model, batch(2, 2)).item(), abs=1e-6)


def test_a_batch_without_a_label_counts_for_nothing() -> None:
    """Its mean is NaN, and NaN times no token was NaN: a prompt that fills the context ended a training."""
    model = llama().eval()
    blank = batch(3, 2) | {"attention_mask": torch.zeros(2, 6).long()}
    signal = measure(model, held_out({"code": [batch(0, 3), blank]}), LOSSES, Share())
    assert signal.losses is not None
    assert signal.losses["code"] == pytest.approx(loss(model, batch(0, 3)).item(), abs=1e-6)
    with pytest.raises(MixtureError, match="no held-out row of the data set 'law' has a token with a label"):
        measure(model, held_out({"code": [batch(0, 3)], "law": [blank]}), LOSSES, Share())


@pytest.mark.parametrize("count", [2, 3, 4])
def test_processes_see_together_what_one_sees(count: int) -> None:
    """Three batches, shared out: parts that add up, and as many calls of the model in each process."""
    model = converted()
    called: list[int] = []
    model.register_forward_hook(lambda *_: called.append(1))

    def sent(rank: int, count: int) -> np.ndarray:
        with pytest.raises(SentError) as found:
            measure(model, sets(), BOTH, Share(rank, count, send=True))
        return np.array(found.value.values)

    whole = sent(0, 1)
    assert len(called) == 3
    called.clear()
    parts = [sent(rank, count) for rank in range(count)]
    np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-12)
    assert len(called) == count * -(-3 // count)


def test_the_model_and_the_random_numbers_stay_as_they_were() -> None:
    model = converted().train()
    model.model.layers[1].eval()
    modes = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    hooks = [len(module._forward_pre_hooks) for module in model.modules()]
    state = torch.get_rng_state()
    measure(model, sets(), BOTH, Share())
    assert [module.training for module in model.modules()] == modes
    assert [len(module._forward_pre_hooks) for module in model.modules()] == hooks
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_only_what_is_needed_is_measured() -> None:
    signal = measure(llama(), sets(), frozenset(), Share(), steps=3)
    assert signal.losses is None and signal.loads is None and signal.steps == 3


def test_ffns_count_where_attentions_have_experts_too() -> None:
    """As MoE-SFT counts MoLM."""
    attention = AttnMoEConfig(num_experts=4, top_k=3)
    loads = measure(convert(llama(), MoEConfig(num_experts=4, top_k=2, attn=attention)), sets(), LOADS, Share()).loads
    assert loads is not None and loads["law"].sum(1).tolist() == [2 * 6 * 2] * 3


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(ModelError, match="no mixture of experts"):
        check_readable(llama(), LOADS)
    check_readable(llama(), LOSSES)
    with pytest.raises(ValueError, match="'law' has no held-out row"):
        held_out({"code": [batch(0, 1)], "law": []})
    model = llama()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="'code', 'law' is NaN"):
        measure(model, sets(), LOSSES, Share())
