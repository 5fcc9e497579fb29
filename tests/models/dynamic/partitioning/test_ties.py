"""Scores that cannot decide anything are refused with what to do; scores that need not decide are not."""

import pytest
import torch

from sparsebench.models.dynamic.partitioning.candidates import ModeCandidates
from sparsebench.models.dynamic.partitioning.ties import ADVICE, ATTENTION_ADVICE, OTHER, refuse_ties
from sparsebench.models.errors import ModelError
from sparsebench.models.sparsity.selection import Group

SHAPE = torch.Size((2, 2))
ONES = torch.ones(SHAPE)


def check(effects, keep=2, references=(ONES, ONES), criterion="switch", local=False, attentions=()):
    candidates = ModeCandidates([SHAPE, SHAPE], "weight", torch.abs)
    groups = [Group(parts=[0, 1], left=8, keep=keep)]
    if local:
        groups = [Group(parts=[i], left=4, keep=keep) for i in (0, 1)]
    refuse_ties(candidates, groups, effects, references, criterion, ["a", "b"], attentions)


@pytest.mark.parametrize("criterion", ["switch", "inverted", "magnitude"])
def test_equal_scores_are_refused_with_advice(criterion):
    words = "remove" if criterion in ADVICE else "calibration batches"
    with pytest.raises(ModelError, match=f"all 8 scores of all layers.*{words}"):
        check([torch.zeros(SHAPE), torch.zeros(SHAPE)], criterion=criterion)


def test_one_layer_of_equal_scores_is_enough_where_layers_are_ranked_by_themselves():
    effects = [torch.arange(4.0).view(SHAPE), torch.zeros(SHAPE)]
    check(effects)
    with pytest.raises(ModelError, match="all 4 scores of b "):
        check(effects, local=True)


def test_nothing_is_refused_where_nothing_is_chosen():
    equal = [torch.zeros(SHAPE), torch.zeros(SHAPE)]
    check(equal, keep=0)
    check(equal, keep=8)


def test_what_rounding_left_of_a_difference_is_no_score():
    noise = [torch.tensor([[1e-8, -2e-8], [0.0, 3e-8]])] * 2
    with pytest.raises(ModelError, match="are equal"):
        check(noise)
    check(noise, references=[1e-3 * ONES, 1e-3 * ONES])


def test_attentions_have_an_advice_of_their_own():
    equal = [torch.zeros(SHAPE), torch.zeros(SHAPE)]
    for criterion, advice in (("switch", ATTENTION_ADVICE), ("magnitude", ATTENTION_ADVICE), ("remove", OTHER)):
        with pytest.raises(ModelError) as caught:
            check(equal, criterion=criterion, attentions=["a", "b"])
        assert "scores of all attentions" in str(caught.value) and str(caught.value).endswith(advice)
    with pytest.raises(ModelError, match="scores of b by"):
        check([torch.arange(4.0).view(SHAPE), torch.zeros(SHAPE)], local=True, attentions=["b"])


@pytest.mark.parametrize("criterion", ["switch", "inverted"])
def test_layers_without_a_score_are_refused_where_the_border_falls_among_them(criterion):
    effects = [torch.arange(1.0, 5.0).view(SHAPE), torch.zeros(SHAPE)]
    finish = torch.abs if criterion == "switch" else (lambda effect: -effect.abs())
    candidates = ModeCandidates([SHAPE, SHAPE], "weight", finish)
    for keep in range(1, 8):
        group = Group(parts=[0, 1], left=8, keep=keep)
        among_zeros = keep > 4 if criterion == "switch" else keep < 4
        if not among_zeros:
            refuse_ties(candidates, [group], effects, [ONES, ONES], criterion, ["a", "b"])
            continue
        with pytest.raises(ModelError, match=r"1 of 2 \(b, \.\.\.\) have no score but 0.*WarmUp"):
            refuse_ties(candidates, [group], effects, [ONES, ONES], criterion, ["a", "b"])
