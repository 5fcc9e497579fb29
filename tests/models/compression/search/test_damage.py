"""Damages: measured ones against a model changed by hand, interpolation by hand, which options are anchors."""

import math

import pytest
import torch
import torch.nn.functional as F

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression import expert_drop
from sparsebench.models.compression.search.damage import anchor_places, interpolated, measure
from sparsebench.models.compression.search.options import SearchSpace, options_of
from sparsebench.models.compression.search.trials import Ranked
from sparsebench.models.compression.trimming import drop_layers
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.compression.trimming.experts.scores import expert_scores
from sparsebench.models.errors import ModelError

from ..slimming.mixtures import batches, mixture

SPACE = SearchSpace(experts=(0.5,), widths=(), bits=(), layers=True)


def measured(model: torch.nn.Module, distance: str, anchors: int = 9) -> list[list[float]]:
    data = batches("mixtral")
    seen = mixture_statistics(model, data)
    scores = expert_scores(seen)
    ranked = [Ranked(one, own) for one, own in zip(mixtures_of(model), scores, strict=True)]
    options = [options_of(one.mixture.experts, SPACE) for one in ranked]
    return measure(model, data, ranked, options, {}, distance=distance, anchors=anchors)  # type: ignore[arg-type]


@torch.no_grad()
def states(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Logarithms of the probabilities, and what leaves the last block, of the real tokens of all batches."""
    logits = []
    hidden = []
    hook = describe(model).blocks[-1].site.get().register_forward_hook(lambda *call: hidden.append(call[-1]))
    for number, batch in enumerate(batches("mixtral")):
        real = batch["attention_mask"].bool()
        logits.append(model(**batch).logits[real].log_softmax(-1))
        hidden[number] = hidden[number][real]
    hook.remove()
    return torch.cat(logits), torch.cat(hidden)


def test_what_is_measured_is_the_model_without_it() -> None:
    model = mixture("mixtral")
    before = states(model)
    kl = measured(model, "kl")
    squares = measured(model, "states")
    assert [own[0] for own in (*kl, *squares)] == [0.0] * 4
    seen = mixture_statistics(model, batches("mixtral"))
    for block in range(2):
        for place in (1, 2):
            changed = mixture("mixtral")
            if place == 1:
                keep = [4, 4]
                keep[block] = 2
                expert_drop(changed, seen, keep)
            else:
                drop_layers(changed, [block])
            after = states(changed)
            found = F.kl_div(after[0], before[0], reduction="batchmean", log_target=True)
            assert kl[block][place] == pytest.approx(float(found), rel=1e-4)
            share = (after[1] - before[1]).square().sum() / before[1].square().sum()
            assert squares[block][place] == pytest.approx(float(share), rel=1e-4)


def test_anchors_by_the_rank_of_their_errors() -> None:
    errors = [0.0, 0.1, 0.9, 0.4, 0.2, 0.3]
    assert anchor_places(errors, 2, []) == [1, 2]
    assert anchor_places(errors, 3, []) == [1, 2, 5]
    assert anchor_places(errors, 1, [2]) == [2, 5] and anchor_places(errors, 9, []) == [1, 2, 3, 4, 5]
    assert anchor_places([0.0, 0.5], 4, [1]) == [1]


def test_between_anchors_the_damage_is_a_power_of_the_error() -> None:
    found = interpolated([0.0, 0.01, 0.1, 1.0, 0.001, 10.0], {1: 1e-4, 3: 1e-2})
    assert found[:2] == [0.0, 1e-4] and found[3] == 1e-2
    assert found[2] == pytest.approx(1e-3)  # from 0.01 to 1 the damage grows as the error
    assert found[4] == pytest.approx(1e-5) and found[5] == pytest.approx(1e-1)


def test_noise_does_not_let_damages_fall() -> None:
    found = interpolated([0.0, 0.01, 0.05, 0.1, 0.0], {1: 2e-3, 3: 1e-3})
    assert found[2] == pytest.approx(2e-3) and found[4] == 0.0
    assert found[1] == 2e-3 and found[3] == 1e-3  # what was measured stays as it is
    assert all(map(math.isfinite, interpolated([0.0, 0.0, 1.0], {1: 0.0, 2: 1.0})))


def test_nothing_but_zeros_is_refused() -> None:
    model = mixture("mixtral")
    with torch.no_grad():
        model.get_parameter("model.embed_tokens.weight").zero_()
    with pytest.raises(ModelError, match="nothing but zeros"):
        measured(model, "states")
