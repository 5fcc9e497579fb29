"""How likely a molecule is: against a sum by hand, and against what decoding gained."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.decoding.output import Decoded
from sparsebench.models.graphsgpt.log_likelihood import log_likelihood
from sparsebench.models.graphsgpt.model.losses import slots, targets
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.batch import collate

from .model_cases import ATOMS, batch, faithful, noise, peaked, small

SHORT = {"max_edges": 40}


def test_the_log_likelihood_is_that_of_the_tokens() -> None:
    model, words = peaked(), noise(12)
    for config in (DecodingConfig(**SHORT), DecodingConfig(temperature=1.5, top_k=5, **SHORT)):
        found = decode(model, words, config=config, generator=torch.Generator().manual_seed(0))
        assert {molecule.status for molecule in found} == {"complete", "truncated"} or config.temperature
        for row, molecule in enumerate(found):
            assert molecule.log_prob == pytest.approx(likelihood(model, words[row : row + 1], molecule), abs=3e-3)


@torch.no_grad()
def likelihood(model: GraphsGPT, words: Tensor, molecule: Decoded) -> float:
    tokens = collate([molecule.tokens])
    target = targets(tokens, len(ATOMS))
    codes = model.decoder.embed.positions.codes
    states = model.decoder(tokens, words)[target.read]
    predicted = model.heads(states, codes)
    total = model.heads.first_atom(states[:1]).log_softmax(-1)[0, target.first_atom[0]]
    edges = target.begin != -1
    new = target.atom != -1
    ends = [(predicted.begin, target.present, target.begin), (predicted.end, target.present + 1, target.end)]
    for cosines, allowed, wanted in ends:
        total += slots(cosines, allowed, 16.0)[edges].log_softmax(-1).gather(1, wanted[edges, None]).sum()
    total += predicted.atom[new].log_softmax(-1).gather(1, target.atom[new, None]).sum()
    spoken = torch.ones_like(edges) if molecule.status == "complete" else edges
    return float(total + predicted.bond.log_softmax(-1).gather(1, target.bond[:, None])[spoken].sum())


@torch.no_grad()
def test_each_molecule_has_the_likelihood_that_it_has_alone() -> None:
    model, tokens = peaked(), batch()
    words = noise(len(tokens))
    together = log_likelihood(model, tokens, words)
    for row, length in enumerate(tokens.lengths.tolist()):
        tokens_4L = np.stack([tokens.tokens[row], *tokens.positions[row].T, tokens.is_node[row]])[:, :length]
        molecule = Decoded(tokens=tokens_4L.astype(np.int16), log_prob=0.0, status="complete", illegal=0)
        assert float(together[row]) == pytest.approx(likelihood(model, words[row : row + 1], molecule), abs=3e-3)


def test_without_tokens_there_is_none() -> None:
    scores = log_likelihood(small(), batch(["CCO", ""]), noise(2))
    assert scores.isnan().tolist() == [False, True] and scores[0] < 0


def test_similarities_are_no_probabilities() -> None:
    with pytest.raises(ModelError, match="similarities, not probabilities"):
        log_likelihood(faithful(), batch(["CC"]), noise(1))
