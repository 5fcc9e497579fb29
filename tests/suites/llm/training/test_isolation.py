"""Deliver 2 of issue 15: a packed example has the loss and the gradient that it has alone; padding is nobody."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import MistralConfig, MistralForCausalLM

from sparsebench.models.moe import MoEConfig, aux_loss, convert
from sparsebench.models.moe.routing.probe import routing_probe
from sparsebench.suites.llm.training import isolation
from sparsebench.suites.llm.training.isolation import (
    CannotPack,
    check_isolation,
    language_loss,
    model_inputs,
    packed_mask,
    predict,
    token_mask,
    token_nats,
)
from sparsebench.suites.llm.training.packing import IGNORED, Example, Row, collate, pack

from .conftest import KINDS, SIZES, llama

Build = Callable[..., Any]
CPU = torch.device("cpu")
LENGTH = 24


def examples() -> list[Example]:
    """Eight of 3 to 13 tokens; of some, the first tokens are a prompt without labels."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number, size in enumerate((13, 3, 7, 10, 5, 9, 4, 6)):
        ids = torch.randint(1, SIZES["vocab_size"], (size,), generator=generator).tolist()
        prompt = (size // 2) * (number % 2)
        found.append(Example(f"example {number}", "a", tuple(ids), (*[IGNORED] * prompt, *ids[prompt:])))
    return found


def alone(model: nn.Module, example: Example) -> Tensor:
    """Sum of the nats of an example that nobody packed, by the model's own way to read a text."""
    logits = model(input_ids=torch.tensor([example.ids]), use_cache=False).logits[0, :-1]
    nats = nn.functional.cross_entropy(logits, torch.tensor(example.labels[1:]), reduction="none")
    return nats.sum()


def gradients(model: nn.Module, value: Tensor) -> dict[str, Tensor]:
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    found = torch.autograd.grad(value, list(named.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(named, found, strict=True))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_packed_is_unpacked(kind: str, dtype: torch.dtype, side: Any, build: Build) -> None:
    model = build(kind, dtype)
    rows = pack(examples(), LENGTH)
    batch = collate(rows, LENGTH, CPU, side=side)
    assert not token_mask(batch).all() and len(rows) < len(examples())  # there is padding, and rows are shared
    nats = token_nats(predict(model, batch))
    members = [example for row in rows for example in row.examples]
    packed = torch.stack([part.sum() for part in nats.split([example.learnt for example in members])])
    apart = torch.stack([alone(model, example) for example in members])
    learnt = torch.tensor([example.learnt for example in members])
    # Nats near 5, out of sums of some dozens of products: in float32 they are rounded by some 1e-6.
    tolerance = 1e-6 if dtype == torch.float64 else 1e-5
    assert (packed / learnt - apart / learnt).abs().max() < tolerance
    assert language_loss(model, batch).item() == pytest.approx((apart.sum() / learnt.sum()).item(), abs=tolerance)
    ours = gradients(model, packed.sum())
    theirs = gradients(model, apart.sum())
    # Eager attention and the router of Mixtral take their softmax in float32, whatever the type.
    precision = 1e-12 if dtype == torch.float64 and "eager" not in kind and "mixtral" not in kind else 1e-5
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).abs().max() <= precision * (1 + gradient.abs().max()), name
    assert sum(bool(gradient.any()) for gradient in theirs.values()) > len(theirs) / 2


def test_the_comparison_can_fail(build: Build) -> None:
    """Without the mask, or with positions that run on, the losses are others."""
    model = build("llama").double()
    (row,) = pack(examples()[:2], LENGTH)
    batch = collate([row], LENGTH, CPU)
    packed = token_nats(predict(model, batch))
    together = {name: batch[name] for name in ("input_ids", "labels")}
    assert (token_nats(predict(model, together)) - packed).abs().max() > 1e-3


def test_older_transformers_project_the_same_tokens(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("llama").double()
    batch = collate(pack(examples(), LENGTH), LENGTH, CPU)
    by_mask = predict(model, batch)
    monkeypatch.setattr(isolation, "_keeps_by_mask", lambda: False)
    by_columns = predict(model, batch)
    torch.testing.assert_close(by_columns.logits, by_mask.logits, rtol=1e-12, atol=1e-12)
    assert torch.equal(by_columns.targets, by_mask.targets)


def test_a_mask_by_hand() -> None:
    mask = packed_mask(torch.tensor([[-1, 0, 0, 1], [0, 1, -1, -1]]))
    assert mask.shape == (2, 1, 4, 4)
    assert mask[0, 0].int().tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    assert mask[1, 0].int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_what_stands_in_padding_changes_nothing(kind: str, side: Any, build: Build) -> None:
    model = build(kind, torch.float64)
    batch = collate(pack(examples(), LENGTH), LENGTH, CPU, side=side)
    before = language_loss(model, batch)
    batch["input_ids"][~token_mask(batch)] = 17
    assert torch.equal(language_loss(model, batch), before)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("llama", "eager")])
def test_routers_count_the_real_tokens(kind: str, build: Build) -> None:
    model = build(kind)
    batch = collate(pack(examples(), LENGTH), LENGTH, CPU)
    with routing_probe(model) as probe:
        language_loss(model, batch)
    assert {layer.tokens for layer in probe.layers.values()} == {sum(len(one.ids) for one in examples())}


@pytest.mark.parametrize("kind", ["converted", "attention of all tokens"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_is_in_no_balance_loss(kind: str, side: Any, build: Build) -> None:
    """One row of 20 tokens, padded and not."""
    model = build(kind).double().train()
    row = Row("a", (examples()[0], examples()[2]))
    losses = []
    for length in (len(row), LENGTH):
        loss = language_loss(model, collate([row], length, CPU, side=side))
        losses.append((loss.item(), aux_loss(model).item()))
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)
    assert losses[0][1] > 0


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_takes_no_place_within_the_capacity(side: Any, build: Build) -> None:
    model = build("llama")
    tight = convert(model, MoEConfig(num_experts=4, top_k=2, router_init="random", capacity=0.6)).double().train()
    with torch.no_grad():
        for block in tight.model.layers:
            block.mlp.router.weight.mul_(30)  # crowds
    row = Row("a", (examples()[0], examples()[2]))
    padded = language_loss(tight, collate([row], LENGTH, CPU, side=side))
    full = language_loss(tight, collate([row], len(row), CPU))
    assert padded.item() == pytest.approx(full.item(), abs=1e-12)
    assert language_loss(tight.eval(), collate([row], len(row), CPU)).item() != pytest.approx(full.item(), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_models_that_keep_examples_apart_pass_the_check(kind: str, dtype: torch.dtype, build: Build) -> None:
    model = build(kind).to(dtype).train()
    check_isolation(model)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_layer_that_mixes_neighbours_is_found(build: Build) -> None:
    model = build("llama")

    def convolve(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        return output + 1e-4 * output.roll(1, dims=1)

    model.model.layers[1].mlp.register_forward_hook(convolve)
    with pytest.raises(CannotPack, match="see each other in LlamaForCausalLM: not all of its layers heed"):
        check_isolation(model)


def test_what_cannot_be_packed_is_refused_by_name(build: Build) -> None:
    batch = collate(pack(examples(), LENGTH), LENGTH, CPU)
    windowed = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8))
    with pytest.raises(CannotPack, match=r"MistralForCausalLM has sliding_window 8, .* rows of 24 tokens"):
        model_inputs(windowed, batch)
    other = build("llama")
    other.config._attn_implementation = "flex_attention"
    with pytest.raises(CannotPack, match=r"'flex_attention' of LlamaForCausalLM .* attn_implementation='sdpa'"):
        model_inputs(other, batch)

    class WithoutPositions(type(other)):
        def forward(self, input_ids: Tensor) -> Any:
            raise NotImplementedError

    with pytest.raises(CannotPack, match="WithoutPositions takes no position_ids"):
        model_inputs(WithoutPositions(llama().config), batch)


def test_whole_windows_need_no_mask(build: Build) -> None:
    ids = torch.randint(1, 61, (2, 8), generator=torch.Generator().manual_seed(1))
    batch = {"input_ids": ids, "labels": ids}
    model = build("llama").double()
    assert set(model_inputs(model, batch)) == {"input_ids", "use_cache"}
    assert token_mask(batch).all()
    logits = model(input_ids=ids).logits[:, :-1]
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    assert language_loss(model, batch).item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_loss_that_is_not_finite_names_its_group(build: Build) -> None:
    model = build("llama")
    good = Row("law", (examples()[1],))
    bad = Row("drama", (Example("x", "drama", (60, 2, 3), (60, 2, 3)),))
    with torch.no_grad():
        model.model.embed_tokens.weight[60] = torch.nan
    batch = collate([good, bad], LENGTH, CPU)
    with pytest.raises(FloatingPointError, match="the loss of 'drama' is NaN or infinite: lower the learning rate"):
        language_loss(model, batch)
    del batch["groups"]
    assert language_loss(model, batch).isnan()


@pytest.mark.parametrize("kind", ["llama", "eager", "converted"])
def test_under_autocast(kind: str, build: Build) -> None:
    model = build(kind)
    batch = collate(pack(examples(), LENGTH), LENGTH, CPU)
    exact = language_loss(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = language_loss(model, batch)
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=0.02)
