"""From words to molecules, all molecules of a batch at once (arXiv 2402.02464, section 3.3).

The state of BOS or of an edge gives the next edge: a class (or stop), two ends, and the class of a new end atom. With
`constrained`, a proposed edge that the molecule does not allow is replaced by the best (or a drawn) one that it does:
over class, ends and new atom jointly, or one after the other with autoregressive heads. Where there is none the
molecule stops. Molecules are then legal at every step, so also where a limit cuts them short. With a vocabulary in
faithful mode `constrained` says what legal means; without constraints the rules of such a model are the published ones,
`strict` or `flexible`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.configuration import own_vocabulary
from ..model.modeling import GraphsGPT
from ..tokens.batch import TOKEN, MoleculeTokens
from ..tokens.vocabulary import FIRST_NODE, Vocabulary
from .autoregressive_edges import AutoregressiveEdges
from .config import DecodingConfig, check
from .constrained import ConstrainedMolecules
from .edge_sampling import EdgeSampler, IndependentEdges, edge_logits
from .flexible import FlexibleMolecules
from .kv_cache import CachedDecoder
from .output import Decoded, Progress, Step, edges_of, finish
from .strict import PublishedEdges, StrictMolecules
from .valence import Edge, EdgeNumbers, Molecules

# Shapes: N molecules, B of them that are still in the batch, R of these, K words, D width.

KEEP = 0.6
"""Finished molecules are dropped from the batch when no more than this fraction goes on."""

NextEdges = IndependentEdges | AutoregressiveEdges | PublishedEdges


def decode(
    model: GraphsGPT | CachedDecoder,
    words: Tensor,
    vocabulary: Vocabulary | None = None,
    config: DecodingConfig | None = None,
    generator: torch.Generator | None = None,
    prefix: MoleculeTokens | None = None,
) -> list[Decoded]:
    """One molecule per row of `words` (N, K, D), in their order, all of which begin with the tokens `prefix` (4, L).

    A `CachedDecoder` of the model, made once, saves preparing its weights at every call.
    `vocabulary` defaults to that of the model's configuration. `generator` draws if the temperature is not 0. Raises
    `ModelError` for words of another model, a vocabulary of another size or mode, published choices of decoding with a
    vocabulary in improved mode, and a prefix with one in faithful mode.
    """
    cached = model if isinstance(model, CachedDecoder) else CachedDecoder(model, max(1, len(words)))
    config = config or DecodingConfig()
    vocabulary = vocabulary or own_vocabulary(cached.model.config)
    check(cached.model, vocabulary, config, prefix)
    if len(words) == 0:
        return []
    sampler = EdgeSampler(temperature=config.temperature, top_k=config.top_k, generator=generator)
    with torch.inference_mode():
        found = _grow(cached, words, vocabulary, config, sampler, prefix).decoded(vocabulary)
    if vocabulary.mode == "faithful" and (config.constrained or config.fix_aromatic):
        return [finish(decoded, vocabulary, config) for decoded in found]
    return found


def _grow(
    cached: CachedDecoder,
    words: Tensor,
    vocabulary: Vocabulary,
    config: DecodingConfig,
    sampler: EdgeSampler,
    prefix: MoleculeTokens | None,
) -> Progress:
    """The first atom of each molecule, then an edge for each at every turn, until all have ended."""
    model = cached.model
    state_BD = cached.start(words)
    first_atom_B, log_prob_B = _first_atom(model.heads.first_atom(state_BD).float(), sampler, prefix)
    molecules = _molecules(model, vocabulary, config, first_atom_B)
    progress = Progress(first_atom_B, log_prob_B)
    given = [] if prefix is None else edges_of(prefix, vocabulary)
    active_B = torch.ones_like(first_atom_B, dtype=torch.bool)

    for turn in range(config.max_edges):
        # 1. The heads say what comes next.
        edges = _next_edges(model, molecules, state_BD, sampler)
        edge, log_prob_B = _proposal(edges, given, turn)

        # 2. An edge that the molecule does not allow is replaced, or ends the molecule.
        valid_B = molecules.is_valid_edge(edge)
        illegal_B = active_B & ~(valid_B & molecules.valence_ok(edge))
        progress.illegal[progress.rows] += illegal_B
        if config.repairs and illegal_B.any():
            _repair(edges, edge, log_prob_B, illegal_B.nonzero()[:, 0])
        if config.constrained:  # every edge is legal now, or a stop where there was none
            valid_B = torch.ones_like(active_B)
        elif config.repairs:
            valid_B = molecules.is_valid_edge(edge)
        if turn == 0:  # by the published rules the first bond has a say in what the first atom is
            progress.first_atom = molecules.first_atom.clone()
        active_B = progress.turn(edge, log_prob_B, active_B, active_B & ~valid_B)

        # 3. Molecules that have ended leave the batch, once there are enough of them.
        alive = int(active_B.sum())
        if alive == 0:
            break
        if alive <= KEEP * len(active_B):
            kept = active_B.nonzero()[:, 0]
            progress.rows = progress.rows[kept]
            molecules.keep(kept)
            cached.keep(kept)
            edge = Edge(*(part[kept] for part in edge))
            active_B = active_B[kept]

        # 4. The others get their edge, and the decoder reads it.
        step = Step(progress.rows, active_B, edge, active_B & (edge.end == molecules.present))
        progress.steps.append(step)
        molecules.add(edge, active_B)
        state_BD = _append(cached, vocabulary, step, molecules.first_atom if turn == 0 else None)
    return progress


def _first_atom(logits: Tensor, sampler: EdgeSampler, prefix: MoleculeTokens | None) -> tuple[Tensor, Tensor]:
    """The class (N,) of each first atom, and its log-probability (N,), from logits (N, atoms)."""
    if prefix is None:
        return sampler.sample(logits)
    atom = int(prefix[TOKEN, 0]) - FIRST_NODE
    first_atom = torch.full((len(logits),), atom, dtype=torch.long, device=logits.device)
    return first_atom, logits.log_softmax(-1)[:, atom]


def _molecules(
    model: GraphsGPT, vocabulary: Vocabulary, config: DecodingConfig, first_atom: Tensor
) -> Molecules | StrictMolecules:
    """Molecules of one atom each, with the rules by which they grow."""
    max_atoms = min(config.max_atoms, model.config.max_atoms)
    if vocabulary.mode == "improved":
        return Molecules(vocabulary, first_atom, max_atoms)
    if config.constrained:
        return ConstrainedMolecules(vocabulary, first_atom, max_atoms, float(model.config.connection_scale))
    rules = StrictMolecules if config.rules == "strict" else FlexibleMolecules
    return rules(vocabulary, first_atom, max_atoms, config.valence_check)


def _next_edges(
    model: GraphsGPT, molecules: Molecules | StrictMolecules, state: Tensor, sampler: EdgeSampler
) -> NextEdges:
    """What the heads say of states (B, D); the ends of an edge are the present atoms and the next free place."""
    heads = model.heads
    scale = float(model.config.connection_scale)
    codes = model.decoder.embed.positions.codes[: int(molecules.present.max()) + 1]
    if isinstance(molecules, StrictMolecules):
        return PublishedEdges(predicted=heads(state, codes), sampler=sampler, molecules=molecules)
    if heads.chain is None:
        logits = edge_logits(heads(state, codes), molecules.present, scale)
        return IndependentEdges(logits=logits, sampler=sampler, molecules=molecules)
    return AutoregressiveEdges(
        heads=heads,
        sampler=sampler,
        molecules=molecules,
        states=state,
        codes=F.normalize(codes, dim=-1),
        scale=scale,
    )


def _proposal(edges: NextEdges, given: list[EdgeNumbers], turn: int) -> tuple[Edge, Tensor]:
    """The next edges and their log-probabilities (B,): those of the prefix first."""
    if turn < len(given):
        assert not isinstance(edges, PublishedEdges)  # `check`: a prefix needs a vocabulary in improved mode
        return edges.given(given[turn])
    return edges.propose()


def _repair(edges: NextEdges, edge: Edge, log_prob: Tensor, rows: Tensor) -> None:
    """Replace, in place, the edges of the molecules `rows` (R,) and their log-probabilities."""
    better, log_prob[rows] = edges.repair(edge, rows)
    for part, new in zip(edge, better, strict=True):
        part[rows] = new


def _append(cached: CachedDecoder, vocabulary: Vocabulary, step: Step, first_atom: Tensor | None) -> Tensor:
    """Feed the edges and the atoms that they add to the decoder, before the first edge the first atoms (B,), too; the
    states of the edges (B, D)."""
    bond, begin, end, atom = step.edge
    edge_token = (vocabulary.first_edge - 1 + bond) * step.active
    block = [(edge_token, begin, end, step.active)]
    place_of_edge = 0
    if first_atom is not None:
        zero = torch.zeros_like(begin)
        block.insert(0, (FIRST_NODE + first_atom, zero, zero, step.active))
        place_of_edge = 1
    if step.new.any():
        block.append((FIRST_NODE + atom, end, end, step.new))
    tokens, firsts, seconds, present = (torch.stack(column, dim=1) for column in zip(*block, strict=True))
    pairs = torch.stack([firsts, seconds], dim=-1).clamp_(max=len(cached.first) - 1)
    return cached.append(tokens, pairs, present, place_of_edge)
