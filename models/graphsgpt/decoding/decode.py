"""From words to molecules, all molecules of a batch at once (arXiv 2402.02464, section 3.3).

The state of BOS or of an edge gives the next edge: a class (or stop), two ends, and the class of a new end atom. With
`constrained`, a proposed edge that the molecule does not allow is replaced by the best (or a drawn) one that it does:
over class, ends and new atom jointly, or one after the other with chained heads. Where there is none the molecule
stops. Molecules are then legal at every step, so also where a limit cuts them short. With a vocabulary in faithful mode
`constrained` says what legal means; without constraints the rules of such a model are the published ones, `strict` or
`flexible`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ModelError
from ..model.modeling import GraphsGPT
from ..tokens.batch import TOKEN, MoleculeTokens
from ..tokens.vocabulary import FIRST_NODE, STOP_CLASS, Vocabulary
from .autoregressive_edges import ChainedEdges
from .config import Decoded, DecodingConfig, Status, check
from .constrained import ConstrainedMolecules
from .edge_sampling import Chooser, SideBySide, scores
from .finishing import finish
from .flexible import FlexibleMolecules
from .history import Step, edges_of, token_table
from .kv_cache import CachedDecoder
from .strict import RepairingMolecules, StrictMolecules
from .valence import Edge, Molecules

# Shapes: B molecules, D width, K' words.

KEEP = 0.6
"""Finished molecules are dropped from the batch when no more than this share goes on."""

Repair = Callable[[Tensor], tuple[Edge, Tensor]]
"""Other edges for the molecules of these indices (R,), and their log-probabilities (R,)."""

__all__ = ["Decoded", "DecodingConfig", "Status", "decode"]


def decode(
    model: GraphsGPT | CachedDecoder,
    words: Tensor,
    vocabulary: Vocabulary | None = None,
    config: DecodingConfig | None = None,
    generator: torch.Generator | None = None,
    prefix: MoleculeTokens | None = None,
) -> list[Decoded]:
    """One molecule per row of `words` (B, K', D), in their order, all of which begin with the tokens `prefix` (4, L).

    A `CachedDecoder` of the model, made once, saves preparing its weights at every call.
    `vocabulary` defaults to that of the model's configuration. `generator` draws if the temperature is not 0. Raises
    `ModelError` for words of another model, a vocabulary of another size or mode, published choices of decoding with a
    vocabulary in improved mode, and a prefix with one in faithful mode.
    """
    cached = model if isinstance(model, CachedDecoder) else CachedDecoder(model, max(1, len(words)))
    config = config or DecodingConfig()
    vocabulary = vocabulary or _own_vocabulary(cached.model)
    check(cached.model, vocabulary, config)
    if prefix is not None and vocabulary.mode != "improved":
        raise ModelError("a prefix needs a vocabulary in improved mode")
    if len(words) == 0:
        return []
    chooser = Chooser(temperature=config.temperature, top_k=config.top_k, generator=generator)
    with torch.inference_mode():
        return _Run(cached, words, vocabulary, config, chooser, prefix).result()


class _Run:
    """One call of `decode`."""

    def __init__(
        self,
        cached: CachedDecoder,
        words: Tensor,
        vocabulary: Vocabulary,
        config: DecodingConfig,
        chooser: Chooser,
        prefix: MoleculeTokens | None,
    ) -> None:
        device, total, model = words.device, len(words), cached.model
        self.cached, self.model = cached, model
        self.vocabulary, self.config, self.chooser = vocabulary, config, chooser
        self.rows = torch.arange(total, device=device)  # which molecules are still worked on
        self.illegal = torch.zeros(total, dtype=torch.long, device=device)
        self.invalid, self.stopped = (torch.zeros(total, dtype=torch.bool, device=device) for _ in range(2))
        self.steps: list[Step] = []
        state = self.cached.start(words)
        self.first_atom, self.log_prob = self._first_atom(model.heads.first_atom(state).float(), prefix)
        self.prefix = [] if prefix is None else edges_of(prefix, vocabulary)
        self.molecules = self._rules()
        self._loop(state)

    def _first_atom(self, logits: Tensor, prefix: MoleculeTokens | None) -> tuple[Tensor, Tensor]:
        if prefix is None:
            return self.chooser.choose(logits)
        atom = int(prefix[TOKEN, 0]) - FIRST_NODE
        return self.rows.new_full((len(logits),), atom), logits.log_softmax(-1)[:, atom]

    def _rules(self) -> Molecules | StrictMolecules:
        config, model = self.config, self.model.config
        start = self.vocabulary, self.first_atom, min(config.max_atoms, model.max_atoms)
        if self.vocabulary.mode == "improved":
            return Molecules(*start)
        if config.constrained:
            return ConstrainedMolecules(*start, scale=float(model.connection_scale))
        rules = StrictMolecules if config.rules == "strict" else FlexibleMolecules
        return rules(*start, valence_check=config.valence_check)

    def _loop(self, state: Tensor) -> None:
        going = torch.ones_like(self.rows, dtype=torch.bool)
        while len(self.steps) < self.config.max_edges:
            edge, going = self._next(state, going)
            alive = int(going.sum())
            if not alive:
                return
            if alive <= KEEP * len(going):
                edge, going = self._drop(edge, going)
            step = Step(self.rows, going, edge, going & (edge.end == self.molecules.present))
            self.steps.append(step)
            self.molecules.add(edge, going)
            state = self._append(step)

    def _next(self, state: Tensor, going: Tensor) -> tuple[Edge, Tensor]:
        """The next edge of each molecule, and which of those that were going go on."""
        present = self.molecules.present
        codes = self.model.decoder.embed.positions.codes[: int(present.max()) + 1]
        repair: Repair | None = None
        if isinstance(self.molecules, Molecules):
            edges = self._edges(state, codes)
            given = self.prefix[len(self.steps)] if len(self.steps) < len(self.prefix) else None
            edge, gained = edges.propose() if given is None else edges.given(given)
            if self.config.constrained:
                repair = partial(edges.repair, self.molecules)
        else:
            predicted = self.model.heads(state, codes)
            edge, gained = self.molecules.propose(predicted, self.chooser)
            if isinstance(self.molecules, RepairingMolecules):
                repair = partial(self.molecules.repair, predicted, edge, self.chooser)
        edge, gained, going = self._judge(edge, gained, going, repair)
        if not self.steps and isinstance(self.molecules, StrictMolecules):
            self.first_atom[self.rows] = self.molecules.atoms[:, 0]
        stop = edge.bond == STOP_CLASS
        self.log_prob[self.rows] += gained.where(going, 0)
        self.stopped[self.rows] |= going & stop
        return edge, going & ~stop

    def _edges(self, state: Tensor, codes: Tensor) -> SideBySide | ChainedEdges:
        heads, present, chooser = self.model.heads, self.molecules.present, self.chooser
        scale = float(self.model.config.connection_scale)
        if heads.chain is None:
            return SideBySide(scores=scores(heads(state, codes), present, scale), chooser=chooser, present=present)
        return ChainedEdges(
            heads=heads, chooser=chooser, states=state, codes=F.normalize(codes, dim=-1), present=present, scale=scale
        )

    def _judge(self, edge: Edge, gained: Tensor, going: Tensor, repair: Repair | None) -> tuple[Edge, Tensor, Tensor]:
        """Give the molecules whose edge is impossible a better one, or end them where there is none."""
        sound = self.molecules.sound(edge)
        wrong = going & ~(sound & self.molecules.fits(edge))
        self.illegal[self.rows] += wrong
        if repair is not None and wrong.any():
            rows = wrong.nonzero()[:, 0]
            better, gained[rows] = repair(rows)
            for part, new in zip(edge, better, strict=True):
                part[rows] = new
        if self.config.constrained:
            return edge, gained, going
        sound = sound if repair is None else self.molecules.sound(edge)
        self.invalid[self.rows] |= going & ~sound
        return edge, gained, going & sound

    def _drop(self, edge: Edge, going: Tensor) -> tuple[Edge, Tensor]:
        """Work on with the molecules that go on alone."""
        keep = going.nonzero()[:, 0]
        self.rows = self.rows[keep]
        self.molecules.keep(keep)
        self.cached.keep(keep)
        return Edge(*(part[keep] for part in edge)), going[keep]

    def _append(self, step: Step) -> Tensor:
        """Feed the edges and their new atoms to the decoder; the states of the edges (B, D)."""
        bond, begin, end, atom = step.edge
        edge_token = (self.vocabulary.first_edge - 1 + bond) * step.going
        tokens, firsts, seconds, present, edge = [edge_token], [begin], [end], [step.going], 0
        if len(self.steps) == 1:
            zero = torch.zeros_like(begin)
            tokens, firsts, seconds = [FIRST_NODE + self.first_atom[self.rows], edge_token], [zero, begin], [zero, end]
            present, edge = [step.going, step.going], 1
        if step.new.any():
            tokens, firsts, seconds = [*tokens, FIRST_NODE + atom], [*firsts, end], [*seconds, end]
            present = [*present, step.new]
        pairs = torch.stack([torch.stack(firsts, 1), torch.stack(seconds, 1)], dim=-1)
        pairs = pairs.clamp_(max=len(self.cached.first) - 1)
        return self.cached.append(torch.stack(tokens, 1), pairs, torch.stack(present, 1), edge)

    def result(self) -> list[Decoded]:
        """The molecules in the order of the words."""
        table, there = token_table(self.first_atom, self.steps, self.vocabulary)
        columns = (self.log_prob, self.invalid, self.stopped, self.illegal)
        state = zip(*(column.tolist() for column in columns), strict=True)
        found = [
            Decoded(
                tokens=np.ascontiguousarray(table[row, there[row]].T),
                log_prob=log_prob,
                status="invalid" if invalid else "complete" if stopped else "truncated",
                illegal=illegal,
            )
            for row, (log_prob, invalid, stopped, illegal) in enumerate(state)
        ]
        if self.vocabulary.mode == "improved" or not (self.config.constrained or self.config.fix_aromatic):
            return found
        return [finish(decoded, self.vocabulary, self.config) for decoded in found]


def _own_vocabulary(model: GraphsGPT) -> Vocabulary:
    if model.config.vocabulary is None:
        raise ModelError("the model's configuration has no vocabulary: make it by GraphsGPTConfig.of(vocabulary)")
    return Vocabulary.from_dict(model.config.vocabulary)
