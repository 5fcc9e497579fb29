"""MoLM with its three routers, from folders of the official code."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparsebench.models import load
from sparsebench.models.molm import MoLMForCausalLM
from sparsebench.models.molm.modeling import CACHE
from sparsebench.models.official import from_official, import_official
from sparsebench.models.official.molm import EXPERTS, places

from ..agreement import agree
from ..oracles.oracle import rounding
from .folders import RECORDED, check_refused, configured, expected_of, rewritten, say

TENSORS = {"molm": 44, "molm_linear": 20, "molm_gmm": 24}
MODEL = rounding(products=20, terms=12)
"""Two layers of ten products (two routers of two, queries, keys, scores, sums of them, values, outputs, experts)."""
BACKWARD = rounding(products=40, terms=36)
"""Sums over the 36 tokens."""
CACHED = 8
HEAD = "transformer.h.0.attn"


@pytest.mark.parametrize("name", TENSORS)
@torch.no_grad()
def test_outputs(name: str, tmp_path: Path) -> None:
    expected = expected_of(name)
    found = import_official(RECORDED / name, tmp_path / "ours")
    assert (found.layout, found.tensors, found.unknown) == ("molm", TENSORS[name], ())
    model = load(tmp_path / "ours")
    ids, mask = expected["input_ids"], expected["attention_mask"]
    whole = model(ids, labels=ids)
    agree(whole.logits, expected["logits"], "logits", within=MODEL)
    agree(whole.loss.view(1), expected["loss"], "losses", within=MODEL)
    agree(whole.aux_loss.view(1), expected["aux_loss"], "losses", within=MODEL)
    real = mask.bool()
    agree(model(ids, attention_mask=mask).logits[real], expected["logits_padded"][real], "logits", within=MODEL)
    first = model(ids[:, :CACHED], use_cache=True)
    steps = [model(ids[:, place : place + 1], cache=first[CACHE]).logits for place in range(CACHED, ids.shape[1])]
    agree(torch.cat([first.logits, *steps], 1), expected["logits_cached"], "logits", within=MODEL)


def gradients(model: MoLMForCausalLM) -> dict[str, Tensor]:
    """By official names, of what was recorded."""
    ours = dict(model.named_parameters())
    stem = "transformer.h."
    wanted = {place.name: name for name, place in places(model.config).items()}
    wanted |= {f"{stem}0.{name}": f"layers.0.{place}" for name, place in EXPERTS.items()}
    found = {}
    for name, place in wanted.items():
        gradient = ours[place].grad
        assert gradient is not None
        found[name] = gradient.transpose(1, 2) if gradient.dim() == 3 else gradient
    return found


@pytest.mark.parametrize("name", TENSORS)
def test_training_step(name: str, subtests: pytest.Subtests) -> None:
    expected = expected_of(name)
    model = from_official(RECORDED / name).train()
    assert isinstance(model, MoLMForCausalLM)
    loss = model(expected["input_ids"], labels=expected["input_ids"]).loss
    loss.backward()
    agree(loss.view(1), expected["train_loss"], "losses", within=MODEL)
    found = gradients(model)
    wanted = expected.below("train_grad.")
    assert len(wanted) >= 6
    for each, gradient in wanted.items():
        with subtests.test(each):
            agree(found[each], gradient, "gradients", within=BACKWARD)


def test_one_head_without_projections(tmp_path: Path) -> None:
    """As wide as the model, it has the hidden states as keys and values: the official class has no tensors for them."""

    def widen(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if "k_proj" in name or "v_proj" in name]:
            del tensors[name]
        for name, shape in (("experts", (4, 12, 12)), ("output_experts", (4, 12, 12))):
            tensors[f"{HEAD}.q_proj.{name}.weight"] = torch.randn(shape, generator=torch.Generator().manual_seed(0))

    folder = rewritten("molm_gmm", tmp_path, widen)
    say(folder, n_head=1, att_hidden=12)
    assert from_official(folder)(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


CHANGES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "no expert": (lambda t: t.pop(f"{HEAD}.q_proj.experts.weight"), r"no tensor .*q_proj\.experts\.weight"),
    "no bias": (lambda t: t.pop(f"{HEAD}.k_proj.bias"), r"no tensor .*k_proj\.bias"),
    "a bias more": (lambda t: t.update({"lm_head.bias": torch.zeros(32)}), "1 tensors .* have no place"),
    "experts the other way round": (
        lambda t: t.update({f"{HEAD}.q_proj.experts.weight": t[f"{HEAD}.q_proj.experts.weight"].transpose(1, 2)}),
        r"has the shape \(4, 8, 12\); \(4, 12, 8\)",
    ),
}


def test_refused_tensors(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, (change, message) in CHANGES.items():
        with subtests.test(name):
            check_refused(rewritten("molm", tmp_path / name, change), message)


VALUES = {
    "another router": ({"gate_type": "topk"}, "gate_type='topk'"),
    "router of another kind": ({"gate_type": "linear"}, r"w_gate\.0\.weight has the shape"),
    "tied": ({"tie_word_embeddings": True}, "tie_word_embeddings=True"),
    "too many experts": ({"k_mlp": 6}, "num_experts_per_tok=6"),
    "blocks": ({"n_layer": 1}, "have no place"),
}


def test_refused_values(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, (config, message) in VALUES.items():
        with subtests.test(name):
            check_refused(configured("molm", tmp_path / name, **config), message)


def test_what_training_does_otherwise_is_said(tmp_path: Path) -> None:
    found = import_official(configured("molm_gmm", tmp_path, sample_topk=1), tmp_path / "ours")
    assert len(found.unknown) == 1 and "last 1 of a token's experts at random" in found.unknown[0]
