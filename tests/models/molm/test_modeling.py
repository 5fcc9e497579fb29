"""The language model: mixture by its formula, cache, padding, losses, folders, generation."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, StaticCache

from sparsebench.models import load, save
from sparsebench.models.errors import ModelError
from sparsebench.models.molm import MoLMForCausalLM
from sparsebench.models.molm.modeling import CACHE, Mixture

from .small_molm import small

IDS = torch.randint(3, 40, (2, 9), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_mixture_is_the_sum_of_its_experts_by_their_probability() -> None:
    layer = small().layers[0].mlp
    assert isinstance(layer, Mixture)
    x = torch.randn(1, 6, 12, generator=torch.Generator().manual_seed(0))
    found, routing = layer(x)
    for token, out, index, weight in zip(x[0], found[0], routing.index, routing.weight, strict=True):
        parts = []
        for expert, probability in zip(index.tolist(), weight, strict=True):
            hidden = F.gelu(layer.experts.gate_up[expert] @ token, approximate="tanh")
            parts.append(probability * (layer.experts.down[expert] @ hidden))
        torch.testing.assert_close(out, sum(parts))


@torch.no_grad()
def test_cached_and_padded_tokens_are_those_of_one_pass() -> None:
    model = small(router="cosine")
    whole = model(IDS).logits
    cache = model(IDS[:, :5])[CACHE]
    steps = [model(IDS[:, place : place + 1], cache=cache).logits for place in range(5, 9)]
    torch.testing.assert_close(torch.cat(steps, 1), whole[:, 5:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(IDS, logits_to_keep=2).logits, whole[:, -2:])
    for place, mask in ((slice(3, None), [0] * 3 + [1] * 9), (slice(0, 9), [1] * 9 + [0] * 3)):
        padded = torch.full((2, 12), 7)
        padded[:, place] = IDS
        found = model(padded, attention_mask=torch.tensor([mask, mask])).logits[:, place]
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


def test_loss_is_that_of_tokens_and_routers() -> None:
    model = small(router="linear", balance="switch", balance_weight=0.5).train()
    found = model(IDS, labels=IDS)
    tokens = F.cross_entropy(found.logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
    torch.testing.assert_close(found.loss, tokens + 0.5 * found.aux_loss)
    found.loss.backward()
    assert all(value.grad is not None for value in model.parameters())
    padded = F.pad(IDS, (2, 0), value=7)
    mask = F.pad(torch.ones_like(IDS), (2, 0))
    torch.testing.assert_close(model(padded, attention_mask=mask).aux_loss, found.aux_loss)
    assert model.eval()(IDS).aux_loss is None


def test_generates_as_it_scores() -> None:
    model: Any = small()
    ids = model.generate(IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=5, do_sample=False, eos_token_id=None)
    assert ids.shape == (2, 14)
    logits = model(ids).logits
    assert torch.equal(logits[:, 8:-1].argmax(-1), ids[:, 9:])


def test_saved_and_loaded(tmp_path: Path) -> None:
    """By our door in a process that has not seen the model's room, and by the Auto classes."""
    model = small()
    save(model, tmp_path / "model")
    expected = model(IDS).logits.detach()
    code = (
        "import sys, torch; from sparsebench.models import load; model = load(sys.argv[1]); "
        "torch.save(model(torch.load(sys.argv[2])).logits.detach(), sys.argv[3])"
    )
    torch.save(IDS, tmp_path / "ids")
    given = [str(tmp_path / name) for name in ("model", "ids", "logits")]
    subprocess.run([sys.executable, "-c", code, *given], check=True)
    assert torch.equal(torch.load(tmp_path / "logits"), expected)
    loaded = load(tmp_path / "model")
    assert type(loaded) is MoLMForCausalLM
    assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path / "model")(IDS).logits, expected)


def test_refused() -> None:
    model = small()
    mask = torch.ones(2, 1, 9, 9)
    with pytest.raises(ModelError, match="attention_mask has the shape"):
        model(IDS, attention_mask=mask)
    with pytest.raises(ModelError, match="knows no token_type_ids"):
        model(IDS, token_type_ids=torch.zeros_like(IDS))
    with pytest.raises(ModelError, match="cannot fill a StaticCache"):
        model(IDS, cache=StaticCache(config=model.config, max_cache_len=16))
