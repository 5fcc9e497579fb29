"""The prior over words: it has the moments of what it was fitted to, and is saved with the model."""

from pathlib import Path

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig, GraphsGPTPipeline, Vocabulary
from sparsebench.models.graphsgpt.model.prior import fit_prior

WORDS, WIDTH = 2, 4


def config() -> GraphsGPTConfig:
    return GraphsGPTConfig.of(
        Vocabulary.improved(),
        num_words=4,
        hidden_size=WIDTH,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        properties={"logp": (0.0, 1.0)},
    )


def two_clusters(molecules: int = 4000) -> torch.Tensor:
    """Words around two centres, stretched along one direction."""
    generator = torch.Generator().manual_seed(0)
    side = torch.where(torch.rand(molecules, 1, generator=generator) < 0.25, 3.0, -1.0)
    stretched = torch.randn(molecules, 1, generator=generator) * torch.tensor([[2.0] + [0.0] * 7])
    noise = 0.3 * torch.randn(molecules, WORDS * WIDTH, generator=generator)
    return (stretched + noise + side * torch.tensor([0.0, 1.0] * 4)).reshape(molecules, WORDS, WIDTH)


@pytest.mark.parametrize("directions", [3, 8])
def test_draws_have_the_moments_of_the_words(directions: int) -> None:
    words = two_clusters()
    sizes = config()
    prior = fit_prior(sizes, words, directions=directions, components=2)
    assert sizes.prior == {"words": WORDS, "directions": directions, "components": 2}
    drawn = prior.draw(4000, torch.Generator().manual_seed(1))
    assert drawn.shape == words.shape and torch.equal(drawn, prior.draw(4000, torch.Generator().manual_seed(1)))
    # Six standard errors of a mean of 4,000 with a deviation of at most 2.1, twice; of a variance of at most 4.4.
    torch.testing.assert_close(drawn.mean(0), words.mean(0), atol=6 * 2.1 * (2 / 4000) ** 0.5, rtol=0)
    torch.testing.assert_close(drawn.var(0), words.var(0), atol=6 * 4.4 * (4 / 4000) ** 0.5, rtol=0)
    # Only a mixture has its quarter on the other side, and little between.
    fraction = (drawn.flatten(1)[:, 1::2].mean(1) > 1.0).float().mean().item()
    assert fraction == pytest.approx(0.25, abs=0.06)


def test_too_few_molecules_are_refused() -> None:
    with pytest.raises(ModelError, match="15 molecules are too few for 1 components in 8 directions"):
        fit_prior(config(), two_clusters(15))
    with pytest.raises(ModelError, match="have no words"):
        fit_prior(config(), torch.full((100, WORDS, WIDTH), torch.nan))


def test_it_is_saved_with_the_model_and_used_where_nothing_is_asked(tmp_path: Path) -> None:
    model = GraphsGPT(config())
    without = GraphsGPTPipeline(model)._requested(5, None, {}, torch.Generator().manual_seed(2))
    model.prior = fit_prior(model.config, two_clusters(), components=2)
    model.save_pretrained(tmp_path)
    pipe = GraphsGPTPipeline.from_pretrained(tmp_path)
    assert pipe.model.prior is not None and pipe.model.num_parameters() == model.num_parameters()
    words = pipe._requested(5, None, {}, torch.Generator().manual_seed(2))
    assert torch.equal(words, model.prior.draw(5, torch.Generator().manual_seed(2)))
    assert without.shape == (5, 4, WIDTH) and words.shape == (5, WORDS, WIDTH)
    assert len(pipe.generate(2, seed=0)) == 2 and pipe.generate(0) == []
    asked = pipe._requested(5, None, {"logp": 1.0}, None)
    pipe.model.prior = None
    assert torch.equal(asked, pipe._requested(5, None, {"logp": 1.0}, None))
    one = GraphsGPTPipeline(model, num_words=1)._requested(5, None, {}, torch.Generator().manual_seed(2))
    assert torch.equal(one, words[:, :1])
