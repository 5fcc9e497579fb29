"""Inputs of linear maps, against a slow reference that follows every token by itself."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.linear.linear_inputs import watch_inputs
from sparsebench.models.compression.linear.linear_map import Source
from sparsebench.models.errors import ModelError

from ..slimming.mixtures import FUSED, batches, mixture, run

Seen = dict[str, list[tuple[Tensor, Tensor | None]]]


def watched(model: Any, batch: Any, parts: Any = ("experts",), mask: Tensor | None = None) -> Seen:
    seen: Seen = {}

    def take(source: Source, x: Tensor, gate: Tensor | None) -> None:
        seen.setdefault(source.name, []).append((x, gate))

    sources = {one.source for one in linear_maps(model, parts) if one.source is not None}
    with torch.no_grad(), watch_inputs(sources, take, lambda: mask):
        run(model, batch)
    return seen


@pytest.mark.parametrize("name", FUSED)
def test_an_expert_gives_what_it_gives_from_these_inputs(name: str) -> None:
    """Oracle: down(what enters it) times the gate, summed over experts, is the output of the experts."""
    model: Any = mixture(name).double()
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the default kernels have no float64
    batch = batches(name)[0]
    if isinstance(batch, Tensor):
        batch = batch.double()
    block = describe(model).blocks[-1]
    assert block.mlp is not None and block.mlp.experts is not None and block.mlp.experts.module is not None
    calls: list[tuple[Any, Tensor]] = []
    hook = block.mlp.experts.module.get().register_forward_hook(
        lambda module, args, kwargs, out: calls.append(((*args, *kwargs.values()), out)), with_kwargs=True
    )
    seen = watched(model, batch)
    hook.remove()
    (x, index, weight), wanted = calls[0]
    own = [one for one in linear_maps(model) if one.block == block.index]
    found = torch.zeros_like(wanted)
    for down in (one for one in own if one.role == "down"):
        assert down.source is not None
        for token, place in (index == down.expert).nonzero().tolist():
            gate = weight[token, place]
            # The reference takes the tokens one by one, in the order in which they come.
            hidden, given = seen[down.source.name][0]
            row = int((index[:token] == down.expert).sum())
            assert given is not None and given[row] == gate
            out = F.linear(hidden[row], down.weight, down.bias)
            found[token] += gate * out
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    for up in (one for one in own if one.role == "up"):
        if up.source is not None and up.source.name in seen:
            rows = (index == up.expert).any(-1)
            assert torch.equal(seen[up.source.name][0][0], x[rows])


def test_padding_is_excluded() -> None:
    model = mixture("mixtral")
    batch = batches("mixtral")[0]
    mask = batch["attention_mask"]
    with_mask = watched(model, batch, ("experts", "attention", "router"), mask)
    for name in ("model.layers.0.self_attn.q_proj", "model.layers.0.mlp.gate"):
        assert len(with_mask[name][0][0]) == int(mask.sum()) == 19
    taken = sum(len(x) for name, found in with_mask.items() if name.endswith("] in") for x, _ in found)
    assert taken == 2 * 2 * 19, "top-2 in two layers"
    # What is cut off at the front of a row changes nothing: the same tokens as without padding.
    bare = watched(model, {"input_ids": batch["input_ids"][:1]}, ("router",))
    torch.testing.assert_close(with_mask["model.layers.0.mlp.gate"][0][0][:12], bare["model.layers.0.mlp.gate"][0][0])


def test_shared_experts_see_every_token_and_the_hidden_values_of_a_bank() -> None:
    model = mixture("converted")
    batch = batches("converted")[0]
    seen = watched(model, batch, ("shared",))
    bank: Any = describe(model).blocks[0].mlp.experts.shared.get()  # type: ignore[union-attr]
    x, gate = seen["model.layers.0.mlp.shared[0] in"][0]
    hidden, _ = seen["model.layers.0.mlp.shared[0] hidden"][0]
    assert gate is None and len(x) == 24
    torch.testing.assert_close(F.linear(hidden, bank.weights(0).down), bank(x))


def test_experts_in_a_list_are_seen_by_their_own_modules() -> None:
    model = mixture("listed")
    (batch,) = batches("listed", count=1)
    seen = watched(model, batch)
    index = model.layers[0].router(batch).argmax(-1)  # type: ignore[union-attr, operator, index]
    for expert in range(3):
        rows = batch[index == expert]
        found = seen.get(f"layers.0.experts.{expert}.up", [(batch.new_empty(0, 32), None)])
        assert torch.equal(found[0][0], rows)
    assert sum(len(found[0][0]) for name, found in seen.items() if name.startswith("layers.0") and "up" in name) == 18


def test_a_token_counts_once_with_all_its_weight_and_not_with_none() -> None:
    """Merged experts are chosen twice by a token; experts behind a table get tokens of dropped ones, with weight 0."""
    model: Any = mixture("mixtral")
    module = model.model.layers[0].mlp.experts
    x = torch.randn(4, 32)
    index = torch.tensor([[1, 1], [1, 0], [0, 1], [2, 3]])
    weight = torch.tensor([[0.25, 0.5], [1.0, 0.0], [0.75, 0.0], [0.5, 0.5]])
    seen: Seen = {}

    def take(source: Source, rows: Tensor, gate: Tensor | None) -> None:
        seen.setdefault(source.name, []).append((rows, gate))

    sources = {one.source for one in linear_maps(model) if one.source is not None and one.block == 0}
    with torch.no_grad(), watch_inputs(sources, take, lambda: None):
        module(x, index, weight)
    path = "model.layers.0.mlp.experts"
    wanted = {0: ([2], [0.75]), 1: ([0, 1], [0.75, 1.0]), 2: ([3], [0.5]), 3: ([3], [0.5])}
    for expert, (rows, gates) in wanted.items():
        ((found, gate),) = seen[f"{path}[{expert}] in"]
        assert torch.equal(found, x[rows]) and gate is not None and gate.tolist() == gates
        assert len(seen[f"{path}[{expert}] hidden"][0][0]) == len(rows)


def test_inputs_of_half_precision_come_in_float32() -> None:
    seen = watched(mixture("mixtral").bfloat16(), batches("mixtral")[0])
    assert {x.dtype for found in seen.values() for x, _ in found} == {torch.float32}
    assert {gate.dtype for found in seen.values() for _, gate in found if gate is not None} == {torch.float32}


def test_nan_inputs_are_refused_by_name_and_the_hooks_go() -> None:
    model = mixture("mixtral")
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = float("nan")  # type: ignore[union-attr, index, operator]
    batch = {"input_ids": torch.tensor([[5, 7, 9]])}
    with pytest.raises(ModelError, match=r"the inputs of model\.layers\.0\.\S+.* are NaN or infinite"):
        watched(model, batch)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_mask_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match=r"mask of shape \(2, 5\) does not say which of the inputs of model\.layers"):
        watched(mixture("mixtral"), batches("mixtral")[0], ("router",), torch.zeros(2, 5))


def test_padding_of_experts_that_get_parts_of_the_tokens_is_refused() -> None:
    (batch,) = batches("listed", count=1)
    mask = torch.ones(batch.shape[:2])
    assert watched(mixture("listed"), batch, mask=mask)
    mask[0, 0] = 0
    with pytest.raises(ModelError, match=r"layers\.0\.experts\.\d\.up.* are real: pass batches without padding"):
        watched(mixture("listed"), batch, mask=mask)
