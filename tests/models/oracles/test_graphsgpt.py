"""GraphsGPT against what its official code computed: tokens, words, states, heads, losses, gradients, requests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sparsebench.models.graphsgpt import Tokenizer
from sparsebench.models.graphsgpt.model import encoder
from sparsebench.models.graphsgpt.tokens.status import TokenStatus

from ..agreement import agree
from .graphsgpt_models import ABOUT, ORACLE, PROPERTIES, batch, model, molecules, our_name, permutation, vocabulary
from .oracle import difference, rounding

WORDS = rounding(products=13, terms=64)
"""Two layers of six products each (the FFN has 64 hidden units), after the projection of the positions."""
STATES = rounding(products=26, terms=64)
"""The decoder comes after the encoder."""
HEADS = rounding(products=27, terms=64)
BACKWARD = rounding(products=54, terms=64)
MODELS = ("k1", "k2")


@pytest.fixture(autouse=True)
def recorded_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder gives the atoms the recorded codes in the place of random ones."""
    monkeypatch.setattr(encoder, "random_permutations", lambda count, *_: permutation(count))


def at_molecules(values: Tensor) -> Tensor:
    """Rows at BOS and at real tokens, of something (B, 1 + L, ...)."""
    mask = ORACLE["attention_mask"].bool()
    return values[torch.cat([mask[:, :1], mask], dim=1)]


def test_tokens() -> None:
    """Token for token, for all that the official tokenizer reads; it refuses what ours refuses or has no bond in."""
    tokenizer = Tokenizer(vocabulary())
    recorded = ABOUT["tokenizer"]
    assert len(recorded) > 35
    for smiles, rows in recorded.items():
        found = tokenizer(smiles)
        if rows is None:
            assert found.status[0] not in (TokenStatus.OK, TokenStatus.EMPTY), smiles
        elif not rows[0]:
            assert found.status[0] == TokenStatus.EMPTY, smiles
        else:
            agree(torch.from_numpy(found.rows[: found.lengths[0]].T).long(), torch.tensor(rows), "tokens", where=smiles)


def test_the_recorded_batch() -> None:
    """That of the tests below is what our tokenizer makes of the molecules."""
    found = Tokenizer(vocabulary())(ABOUT["smiles"])
    for row, tokens in enumerate(molecules()):
        start, stop = found.starts[row], found.starts[row] + found.lengths[row]
        assert np.array_equal(found.rows[start:stop].T, tokens)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_words(name: str) -> None:
    """With the recorded codes of the atoms, and with codes in the order of the atoms."""
    made = model(name)
    agree(made.encoder(batch()), ORACLE[f"{name}.words"], "words", within=WORDS)
    made.config.encoder_ids = "canonical"
    agree(made.encoder(batch()), ORACLE[f"{name}.words_incremental_ids"], "words", within=WORDS)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_states_and_heads(name: str) -> None:
    made, words = model(name), ORACLE[f"{name}.words"]
    states = made.decoder(batch(), words)
    recorded = ORACLE[f"{name}.decoder_states"][:, words.shape[1] :]
    agree(at_molecules(states), at_molecules(recorded), "states", within=STATES)
    heads = {"lm_head": made.heads.bond, "c_head_begin": made.heads.begin, "c_head_end": made.heads.end}
    for theirs, head in heads.items():
        wanted = ORACLE[f"{name}.logits.{theirs}"]
        agree(at_molecules(head(states)), at_molecules(wanted), "logits", within=HEADS, where=theirs)
    agree(made.heads.first_atom(states[:, 0]), ORACLE[f"{name}.logits.n_head"], "logits", within=HEADS)


@pytest.mark.parametrize("name", MODELS)
def test_losses_and_gradients(name: str) -> None:
    """Bond, first atom and contrastive connection, and the gradients of their sum."""
    made = model(name)
    out = made(batch())
    assert out.losses is not None and out.loss is not None
    found = torch.stack([out.losses.bond, out.losses.first_atom, out.losses.connection])
    agree(found, ORACLE[f"{name}.losses.contrastive"], "losses", within=HEADS)
    out.loss.backward()
    recorded, parameters = ORACLE.below(f"{name}.grad."), dict(made.named_parameters())
    assert len(recorded) == 8
    for theirs, wanted in recorded.items():
        gradient = parameters[our_name(theirs)].grad
        assert gradient is not None
        agree(gradient, wanted, "gradients", within=BACKWARD, where=theirs)


@pytest.mark.parametrize("asked", ["all", *PROPERTIES])
@torch.no_grad()
def test_words_of_a_request(asked: str) -> None:
    """Molecules as scaffolds, with all properties or with one; the others are absent."""
    count = len(ORACLE["cond.words.all"])
    columns = []
    for name in PROPERTIES:
        values = ORACLE[f"cond.values_{name}"][:, 0]
        columns.append(values if asked in ("all", name) else torch.full_like(values, torch.nan))
    words = model("cond").encoder(batch(count), wanted=torch.stack(columns, dim=1))
    agree(words, ORACLE[f"cond.words.{asked}"], "words", within=WORDS)


@pytest.mark.parametrize("part", ["encoder", "decoder", "heads"])
@torch.no_grad()
def test_a_changed_weight_is_seen(part: str) -> None:
    """A thousandth more of the last matrix of each part."""
    made = model("k1")
    matrices = [p for n, p in made.named_parameters() if n.startswith(part) and p.ndim == 2 and "embed" not in n]
    matrices[-1].mul_(1.001)
    words = made.encoder(batch())
    if part == "encoder":
        assert difference(words, ORACLE["k1.words"]) > WORDS
        return
    states = made.decoder(batch(), ORACLE["k1.words"])
    found = at_molecules(made.heads.end(states))
    assert difference(found, at_molecules(ORACLE["k1.logits.c_head_end"])) > HEADS
