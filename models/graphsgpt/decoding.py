"""From words to molecules, all molecules of a batch at once (arXiv 2402.02464, section 3.3).

The state of BOS or of an edge gives the next edge: a class (or stop), two ends, and the class of a new end atom. With
`constrained`, a proposed edge that the molecule does not allow is replaced by the best (or a drawn) one that it does,
over class, ends and new atom jointly; where there is none the molecule stops. Molecules are then legal at every step,
so also where a limit cuts them short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError
from .cache import CachedDecoder
from .choices import Chooser, Scores, scores
from .history import Step, token_table
from .legality import Edge, Molecules
from .modeling import GraphsGPT
from .strict import StrictMolecules
from .tokens import MoleculeTokens
from .vocabulary import FIRST_NODE, STOP_CLASS, Vocabulary

# Shapes: B molecules, D width, K' words.

KEEP = 0.6
"""Finished molecules are dropped from the batch when no more than this share goes on."""

Status = Literal["complete", "truncated", "invalid"]


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How to decode.

    `temperature` 0 takes the most likely class, end and atom; above, each is drawn, from the `top_k` most likely if
    given. `constrained`: see above; without it a molecule ends as "invalid" where an edge repeats a bond, ends where it
    begins or exceeds the atoms, and valences are not looked after. `max_atoms`, `max_edges` cut a molecule short.
    """

    constrained: bool = True
    temperature: float = 0.0
    top_k: int | None = None
    max_atoms: int = 128
    max_edges: int = 256

    def __post_init__(self) -> None:
        top_k = 1 if self.top_k is None else self.top_k
        if self.temperature < 0 or min(self.max_atoms, self.max_edges, top_k) < 1:
            raise ModelError(f"{self}: the temperature must not be negative, limits and top_k at least 1")


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A molecule as tokens (4, L), its log-likelihood given the words, and how it ended.

    `illegal`: edges that were proposed and not allowed, repaired if the decoding was constrained. "complete" means that
    the model said stop, or had no legal edge left; "truncated" that a limit was reached.
    """

    tokens: MoleculeTokens
    log_prob: float
    status: Status
    illegal: int


def decode(
    model: GraphsGPT | CachedDecoder,
    words: Tensor,
    vocabulary: Vocabulary | None = None,
    config: DecodingConfig | None = None,
    generator: torch.Generator | None = None,
) -> list[Decoded]:
    """One molecule per row of `words` (B, K', D), in their order.

    A `CachedDecoder` of the model, made once, saves preparing its weights at every call.
    `vocabulary` defaults to that of the model's configuration. `generator` draws if the temperature is not 0. Raises
    `ModelError` for words of another model, a vocabulary of another size or mode, and constraints in faithful mode,
    which has rules of its own (`strict`).
    """
    cached = model if isinstance(model, CachedDecoder) else CachedDecoder(model, max(1, len(words)))
    config = config or DecodingConfig()
    vocabulary = vocabulary or _own_vocabulary(cached.model)
    _check(cached.model, vocabulary, config)
    if len(words) == 0:
        return []
    chooser = Chooser(temperature=config.temperature, top_k=config.top_k, generator=generator)
    with torch.inference_mode():
        return _Run(cached, words, vocabulary, config, chooser).result()


class _Run:
    """One call of `decode`."""

    def __init__(
        self, cached: CachedDecoder, words: Tensor, vocabulary: Vocabulary, config: DecodingConfig, chooser: Chooser
    ) -> None:
        device, total, model = words.device, len(words), cached.model
        self.cached, self.model = cached, model
        self.vocabulary, self.config, self.chooser = vocabulary, config, chooser
        self.rows = torch.arange(total, device=device)  # which molecules are still worked on
        self.illegal = torch.zeros(total, dtype=torch.long, device=device)
        self.invalid, self.stopped = (torch.zeros(total, dtype=torch.bool, device=device) for _ in range(2))
        self.steps: list[Step] = []
        state = self.cached.start(words)
        self.first_atom, self.log_prob = chooser.choose(model.heads.first_atom(state).float())
        rules = Molecules if vocabulary.mode == "improved" else StrictMolecules
        self.molecules = rules(vocabulary, self.first_atom, min(config.max_atoms, model.config.max_atoms))
        self._loop(state)

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
        predicted = self.model.heads(state, codes)
        if isinstance(self.molecules, StrictMolecules):
            edge, gained = self.molecules.propose(predicted, self.chooser)
            if not self.steps:
                self.first_atom[self.rows] = self.molecules.atoms[:, 0]
            edge, gained, going = self._judge(edge, gained, going, None)
        else:
            logits = scores(predicted, present, float(self.model.config.connection_scale))
            edge, gained = self.chooser.propose(logits, present)
            edge, gained, going = self._judge(edge, gained, going, logits)
        stop = edge.bond == STOP_CLASS
        self.log_prob[self.rows] += gained.where(going, 0)
        self.stopped[self.rows] |= going & stop
        return edge, going & ~stop

    def _judge(self, edge: Edge, gained: Tensor, going: Tensor, logits: Scores | None) -> tuple[Edge, Tensor, Tensor]:
        """End the molecules whose edge is impossible or, if constrained, give them a better one."""
        sound = self.molecules.sound(edge)
        wrong = going & ~(sound & self.molecules.fits(edge))
        self.illegal[self.rows] += wrong
        if not self.config.constrained:
            self.invalid[self.rows] |= going & ~sound
            return edge, gained, going & sound
        if wrong.any():
            assert logits is not None and isinstance(self.molecules, Molecules)
            rows = wrong.nonzero()[:, 0]
            better, gained[rows] = self.chooser.repair(logits, self.molecules, rows)
            for part, new in zip(edge, better, strict=True):
                part[rows] = new
        return edge, gained, going

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
        return [
            Decoded(
                tokens=np.ascontiguousarray(table[row, there[row]].T),
                log_prob=log_prob,
                status="invalid" if invalid else "complete" if stopped else "truncated",
                illegal=illegal,
            )
            for row, (log_prob, invalid, stopped, illegal) in enumerate(state)
        ]


def _own_vocabulary(model: GraphsGPT) -> Vocabulary:
    if model.config.vocabulary is None:
        raise ModelError("the model's configuration has no vocabulary: make it by GraphsGPTConfig.of(vocabulary)")
    return Vocabulary.from_dict(model.config.vocabulary)


def _check(model: GraphsGPT, vocabulary: Vocabulary, decoding: DecodingConfig) -> None:
    config = model.config
    if (len(vocabulary.nodes), len(vocabulary.edges)) != (config.num_atoms, config.num_bonds):
        raise ModelError(
            f"a vocabulary of {len(vocabulary.nodes)} atoms and {len(vocabulary.edges)} bonds is not that of a model "
            f"with {config.num_atoms} and {config.num_bonds}"
        )
    if config.predict_atoms != (vocabulary.mode == "improved"):
        raise ModelError(
            f"predict_atoms={config.predict_atoms} does not go with a vocabulary in {vocabulary.mode} mode"
        )
    if vocabulary.mode == "faithful" and decoding.constrained:
        raise ModelError(
            "only Kekule bonds can be constrained: use DecodingConfig(constrained=False), the strict rules"
        )
