"""The script of the mixtures from scratch: models of the stated sizes, and windows and weights that the seed gives."""

import pytest
import torch

from sparsebench.models.counting import count_parameters
from sparsebench.suites.llm.small_models import from_scratch, llama
from sparsebench.suites.llm.small_models.mixture import as_mixtral


@pytest.fixture
def domains(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    monkeypatch.setattr(llama, "CONTEXT", 32)
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, 200, (400,), generator=generator) for _ in range(2)]


def test_the_twin_has_the_active_size_of_the_mixture() -> None:
    mixture = count_parameters(from_scratch.scratch_mixtral())
    twin = count_parameters(from_scratch.scratch_twin())
    routers = from_scratch.LAYERS * from_scratch.EXPERTS * 128
    assert mixture.total == 3_590_400
    assert mixture.active == twin.total + routers


def test_experts_are_drawn_apart() -> None:
    weights = from_scratch.start("mixture", 0).get_submodule("model.layers.0.mlp.experts").down
    experts = weights.flatten(1) if weights.shape[0] == from_scratch.EXPERTS else weights.T.reshape(16, -1)
    assert (torch.corrcoef(experts).fill_diagonal_(0).abs() < 0.1).all()  # 8,192 numbers each: noise is 0.01
    assert experts.std().item() == pytest.approx(0.02, rel=0.02)  # as transformers draws them


def test_a_trained_mixture_is_the_stock_model_that_the_backbone_builds(domains: list[torch.Tensor]) -> None:
    trained = llama.train_on(from_scratch.start("mixture", 0), domains, 1, seed=0)
    built = from_scratch.scratch_mixtral()
    built.load_state_dict(as_mixtral(trained).state_dict())
    ids = domains[0][None, :16]
    with torch.no_grad():
        found = built.eval()(input_ids=ids).logits
        torch.testing.assert_close(found, trained.eval()(input_ids=ids).logits, rtol=1e-4, atol=1e-4)


def test_another_seed_is_another_model_and_other_windows(domains: list[torch.Tensor]) -> None:
    one, other = (from_scratch.start("twin", seed).lm_head.weight for seed in (0, 1))
    assert not torch.equal(one, other)
    first, second = (next(iter(llama.Windows(domains, seed))) for seed in (0, 1))
    assert not torch.equal(first, second)
    assert [len(half) for half in from_scratch.first_halves(domains)] == [200, 200]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of mixture, twin"):
        from_scratch.start("tiny", 0)
