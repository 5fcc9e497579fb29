"""The small trained mixture and the script that made it."""

from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.moe import routing_probe
from sparsebench.suites.llm.backbones import small_mixture as backbone
from sparsebench.suites.llm.bits_per_byte.task import window_bits
from sparsebench.suites.llm.language.task import encode
from sparsebench.suites.llm.small_models import llama, mixture

TEXT = "The President shall, at stated times, receive for his services a compensation. "


def routers(model: nn.Module) -> list[Any]:
    mixtures = [block.mlp for block in describe(model).blocks if block.mlp is not None]
    return [mlp.experts.router.get() for mlp in mixtures if mlp.experts is not None]


def test_the_published_mixture_has_learnt_english_and_uses_all_experts() -> None:
    lm = backbone.load(torch.Generator())
    ids = torch.tensor([encode(lm.tokenizer, TEXT)])
    model = lm.model.float()
    with routing_probe(model) as probe:
        bits = window_bits(model, ids, 1)[0] / len(TEXT)
    assert bits < 3.5  # a uniform guess needs 8
    assert all(not layer.dead for layer in probe.layers.values())
    counts = count_parameters(model)
    assert counts.total == 1_021_184
    assert counts.active == 431_360
    assert (llama.WEIGHTS / "small_mixture.safetensors").stat().st_size < 2**21


def test_other_weights_are_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small_mixture.safetensors").write_bytes(b"other")
    monkeypatch.setattr(llama, "WEIGHTS", tmp_path)
    with pytest.raises(ValueError, match="reinstall"):
        backbone.load(torch.Generator())


def test_cut_train_and_export_give_the_model_that_the_backbone_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "CONTEXT", 32)
    domains = [torch.randint(3, 200, (400,), generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    trained = llama.train_on(mixture.mixture(), domains, 2)
    for router, start in zip(routers(trained), routers(mixture.mixture()), strict=True):
        assert not torch.equal(router.weight, start.weight)
    stock = mixture.as_mixtral(trained)
    built = mixture.small_mixtral()
    built.load_state_dict(stock.state_dict())
    for name in ("rms_norm_eps", "rope_parameters", "hidden_act", "num_local_experts", "num_experts_per_tok"):
        assert getattr(built.config, name) == getattr(stock.config, name), name
    ids = torch.randint(3, 200, (2, 16), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = built.eval()(input_ids=ids).logits
        torch.testing.assert_close(found, trained.eval()(input_ids=ids).logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found, stock.eval()(input_ids=ids).logits)
