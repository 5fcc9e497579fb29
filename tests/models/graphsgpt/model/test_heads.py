"""Heads: cosines to the codes, and parts of an edge that know those before them."""

import pytest
import torch
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig

from ..model_cases import VOCABULARY, batch, small


@torch.no_grad()
def test_at_the_start_a_chain_changes_nothing() -> None:
    plain, linked = small(), small(autoregressive_heads=True)
    missing = linked.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing and all(name.startswith("heads.chain.") for name in missing)
    one, other = plain(batch()), linked(batch())
    for a, b in zip(one.predictions, other.predictions, strict=True):
        assert torch.equal(a, b)
    linked.heads.chain.at_end.down.weight.normal_()
    other = linked(batch())
    for name in ("bond", "begin", "end", "atom"):
        same = torch.equal(getattr(one.predictions, name), getattr(other.predictions, name))
        assert same == (name in ("bond", "begin"))


def test_what_a_chain_needs() -> None:
    for fields in ({"predict_atoms": False}, {"connection_loss": "contrastive"}):
        with pytest.raises(ModelError, match="autoregressive_heads needs"):
            GraphsGPTConfig.of(VOCABULARY, autoregressive_heads=True, **fields)


@torch.no_grad()
def test_ends_are_cosines_to_the_codes() -> None:
    heads = small().heads
    generator = torch.Generator().manual_seed(0)
    states, codes = torch.randn(5, 32, generator=generator), torch.randn(7, 128, generator=generator)
    predicted = heads(states, codes)
    for head, cosines in ((heads.begin, predicted.begin), (heads.end, predicted.end)):
        expected = nn.functional.cosine_similarity(head(states).unsqueeze(1), codes, dim=-1)
        torch.testing.assert_close(cosines, expected, atol=1e-6, rtol=1e-5)
    assert predicted.bond.shape == (5, 5) and predicted.atom is not None and predicted.atom.shape == (5, 10)


@torch.no_grad()
def test_each_part_knows_those_before_it_and_no_other() -> None:
    heads = small(autoregressive_heads=True).heads
    generator = torch.Generator().manual_seed(0)
    for known in (heads.chain.at_begin, heads.chain.at_end):
        known.down.weight.normal_(generator=generator)
    states, codes = torch.randn(3, 32, generator=generator), torch.randn(7, 128, generator=generator)
    one, other = torch.tensor([1, 1, 1]), torch.tensor([2, 2, 2])
    base = heads(states, codes, one, one)
    changed = {"bond": heads(states, codes, other, one), "begin": heads(states, codes, one, other)}
    same = {name: [torch.equal(a, b) for a, b in zip(base, found, strict=True)] for name, found in changed.items()}
    assert same == {"bond": [True, False, False, False], "begin": [True, True, False, False]}
