"""Edges chosen part by part, against slow loops, and what side by side cannot learn."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.log_likelihood import log_likelihood
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.results import read
from sparsebench.models.graphsgpt.tokens.batch import MoleculeTokens, collate
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer

from ..model_cases import VOCABULARY, batch, chained, noise, small
from ..slow_decoding import Grown, batch_of, check_against


class Oracle:
    """Greedy choices of one molecule, part by part, among those that can still become a legal edge."""

    def __init__(self, model: GraphsGPT, state: Tensor, count: int) -> None:
        self.heads, self.state, self.count = model.heads, state.unsqueeze(0), count
        self.codes = torch.nn.functional.normalize(model.decoder.embed.positions.codes, dim=-1)

    def edge(self, options: set[tuple[int, int, int, int]] | None) -> tuple[int, int, int, int]:
        """The best edge; of all, legal or not, for None."""
        bond = self._best(self.heads.bond(self.state), self._allowed(options, 0))
        known = torch.tensor([bond])
        cosines = self.heads.first_end(self.heads.given_bond(self.state, known), self.codes)
        begin = self._best(cosines[:, : self.count], self._allowed(options, 1, bond))
        later = self.heads.given_begin(self.state, self.codes, known, torch.tensor([begin]))
        cosines = self.heads.second_end(later, self.codes)[:, : self.count + 1]
        end = self._best(cosines, self._allowed(options, 2, bond, begin))
        atoms = self._allowed(options, 3, bond, begin, end) if end == self.count else None
        return bond, begin, end, self._best(self.heads.atom(later), atoms)

    @staticmethod
    def _allowed(options: set[tuple[int, int, int, int]] | None, part: int, *known: int) -> set[int] | None:
        return None if options is None else {edge[part] for edge in options if edge[:part] == known}

    @staticmethod
    def _best(logits: Tensor, allowed: set[int] | None) -> int:
        scores = logits[0].tolist()
        return max(range(len(scores)) if allowed is None else allowed, key=scores.__getitem__)


def slow(model: GraphsGPT, words: Tensor, cap: int, edges: int) -> MoleculeTokens:
    state = model.decoder(batch_of([]), words)[0, 0]
    molecule = Grown(int(model.heads.first_atom(state).argmax()), cap)
    for _ in range(edges):
        oracle, options, new = Oracle(model, state, len(molecule.free)), set(molecule.options()), len(molecule.free)
        edge = oracle.edge(None)
        if edge[0] == 0:
            break
        plain = edge if edge[2] == new else (*edge[:3], 0)
        if plain not in options:
            if not options:
                break
            edge = oracle.edge(options)
        molecule.add(*edge)
        last = max(place for place, row in enumerate(molecule.rows) if row[3] == 0)
        state = model.decoder(batch_of(molecule.rows), words)[0, 1 + last]
    return np.array(molecule.rows, dtype=np.int16).T


def test_decoding_gives_the_molecules_of_slow_decoding() -> None:
    check_against(slow, chained)


@pytest.mark.parametrize("constrained", [True, False])
def test_the_log_probability_is_the_likelihood(constrained: bool) -> None:
    model, words, draw = chained(), noise(40), torch.Generator().manual_seed(0)
    prefix = Tokenizer(VOCABULARY)("c1ccncc1")[0]
    for start in (None, prefix):
        for temperature in (0.0, 1.0):
            config = DecodingConfig(temperature=temperature, max_edges=30, constrained=constrained)
            made = decode(model, words, config=config, generator=draw, prefix=start)
            whole = [(row, one) for row, one in enumerate(made) if one.status == "complete"]
            assert whole or temperature == 0 or not constrained
            if whole:
                rows = torch.tensor([row for row, _ in whole])
                scores = log_likelihood(model, collate([one.tokens for _, one in whole]), words[rows])
                np.testing.assert_allclose(scores, [one.log_prob for _, one in whole], atol=5e-3, rtol=1e-3)


def drawn_after_training(linked: bool) -> float:
    """Share of what is drawn, without constraints, that is one of four rings that share their words."""
    wanted = ["C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1"]
    model = small(hidden_size=64, intermediate_size=128, autoregressive_heads=linked).train()
    tokens, optimizer = batch(wanted), torch.optim.AdamW(model.parameters(), lr=3e-3)
    words = torch.ones(4, 3, 64)
    for _ in range(250):
        loss = model(tokens, words=words).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    config = DecodingConfig(temperature=1.0, constrained=False, max_edges=20)
    made = decode(model.eval(), torch.ones(200, 3, 64), config=config, generator=torch.Generator().manual_seed(0))
    found = Counter(read(one, VOCABULARY).smiles for one in made)
    return sum(found[smiles] for smiles in wanted) / len(made)


def test_a_chain_can_say_what_side_by_side_cannot() -> None:
    assert drawn_after_training(linked=True) > 0.95 > 0.7 > drawn_after_training(linked=False)
