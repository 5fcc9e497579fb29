"""Measures of redundancy where they are known: copies, orthogonal rows, one expert that has everything."""

import math

import pytest
import torch

from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.suites.llm.redundancy.measures import effective_rank, layer_measures, mean_cosine, stable_rank

from ....models.compression.slimming.mixtures import batches, mixture


def test_ranks_and_cosines() -> None:
    eye = torch.eye(4)
    singular = torch.linalg.svdvals
    assert effective_rank(singular(eye)) == pytest.approx(4) and stable_rank(singular(eye)) == pytest.approx(4)
    assert effective_rank(singular(torch.ones(3, 5).double())) == pytest.approx(1, abs=1e-6)
    assert stable_rank(singular(torch.diag(torch.tensor([2.0, 1.0])))) == pytest.approx(1.25)
    assert mean_cosine(eye) == 0 and mean_cosine(torch.ones(3, 2)) == pytest.approx(1)
    assert mean_cosine(torch.tensor([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(-1)


def test_a_mixture_of_copies_is_redundant_and_a_collapsed_router_shows() -> None:
    model = mixture("mixtral")
    first = model.model.layers[0].mlp  # type: ignore[union-attr]
    with torch.no_grad():
        first.experts.gate_up_proj.copy_(first.experts.gate_up_proj[:1].expand(4, -1, -1))
        first.experts.down_proj.copy_(first.experts.down_proj[:1].expand(4, -1, -1))
        first.gate.weight.zero_()
    data = batches("mixtral")
    statistics = mixture_statistics(model, data, all_outputs=True)
    copies, other = layer_measures(model, data, statistics, [0.5])[0.5]
    assert copies["output similarity"] == pytest.approx(1, abs=1e-5) and other["output similarity"] < 0.9
    assert copies["token entropy"] == pytest.approx(1, abs=1e-5) and other["token entropy"] < 1
    # Ties go to the same two experts for every token.
    assert copies["load entropy"] == pytest.approx(math.log(2) / math.log(4), abs=1e-5)
    assert copies["weight left"] == pytest.approx(0, abs=1e-6) and 0 < other["weight left"] < 1
    assert copies["REAP left"] == pytest.approx(0, abs=1e-6) and 0 < other["REAP left"] < 0.5
    assert copies["effective rank"] < other["effective rank"]
    assert (copies["depth"], other["depth"], copies["chosen"]) == (0, 1, 0.5)
