import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.token_groups import layout_of, plan_pairs

X = torch.zeros(2, 4, 8)
CAUSAL = torch.ones(4, 4, dtype=torch.bool).tril()


def mask_of(*rows: list[int]) -> torch.Tensor:
    """A causal mask (B, 1, S, S) of packed rows: tokens of one number see each other, those of 0 are padding."""
    number = torch.tensor(rows)
    same = number.unsqueeze(2) == number.unsqueeze(1)
    return (same & (number > 0).unsqueeze(2) & CAUSAL).unsqueeze(1)


def test_no_mask_is_one_sequence_a_row() -> None:
    found = layout_of(None, X, blocks=True, packed=True)
    assert found.sequence.tolist() == [0] * 4 + [1] * 4 and found.sequences == 2 and found.mask is None
    assert found.present().all()


@pytest.mark.parametrize("additive", [False, True])
def test_padding_on_either_side(additive: bool) -> None:
    mask = mask_of([1, 1, 1, 0], [0, 0, 1, 1])
    if additive:
        mask = torch.zeros(2, 1, 4, 4).masked_fill(~mask, torch.finfo(torch.float32).min)
    found = layout_of(mask, X, blocks=True, packed=False)
    assert found.sequence.tolist() == [0, 0, 0, 2, 2, 2, 1, 1] and found.sequences == 2 and found.mask is None
    assert found.present().tolist() == [True, True, True, False, False, False, True, True]


def test_packed_sequences_are_numbered_through_the_batch() -> None:
    mask = mask_of([1, 1, 2, 2], [1, 2, 2, 0])
    found = layout_of(mask, X, blocks=True, packed=True)
    assert found.sequence.tolist() == [0, 0, 1, 1, 2, 3, 3, 4] and found.sequences == 4 and found.mask is None
    kept = layout_of(mask, X, blocks=True, packed=False)  # a cache knows batch rows only
    assert kept.mask is not None and kept.sequence.tolist() == [0, 0, 0, 0, 1, 1, 1, 2]


def test_a_mask_that_says_more_than_causal_sequences_is_kept() -> None:
    gap = mask_of([1, 1, 1, 1], [1, 1, 1, 1])
    gap[0, 0, 3, 1] = False
    biased = torch.zeros(2, 1, 4, 4).masked_fill(~CAUSAL, -torch.inf)
    biased[1, 0, 2, 0] = -0.5
    for mask in (gap, biased):
        found = layout_of(mask, X, blocks=True, packed=True)
        assert found.mask is not None and torch.equal(found.mask, mask[:, 0]) and found.sequences == 2


@pytest.mark.parametrize("mask", ["flex", torch.ones(2, 4), torch.ones(2, 3, 4, 4), torch.ones(2, 1, 5, 4)])
def test_other_kinds_of_masks(mask: object) -> None:
    with pytest.raises(ModelError, match=r"take masks \(batch, 1, 4, keys\), .* to 'sdpa' or 'eager'"):
        layout_of(mask, X, blocks=True, packed=True)  # type: ignore[arg-type]


def test_pairs_by_expert_then_sequence_then_token() -> None:
    layout = layout_of(mask_of([1, 1, 1, 0], [0, 1, 1, 1]), X, blocks=True, packed=False)
    index = torch.tensor([[1, 0], [0, 2], [2, 1], [0, 1], [0, 1], [2, 0], [1, 2], [1, 0]])
    plan = plan_pairs(index, layout, 3)
    assert plan.counts == [[2, 2], [2, 2], [2, 2]]
    assert plan.token.tolist() == [0, 1, 5, 7, 0, 2, 6, 7, 1, 2, 5, 6]
    assert index.flatten()[plan.pair].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    parts = [part.tolist() for (part,) in plan.by_expert(plan.token)]
    assert parts == [[0, 1, 5, 7], [0, 2, 6, 7], [1, 2, 5, 6]]
