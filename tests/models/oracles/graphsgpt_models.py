"""The recorded models of GraphsGPT, with our names of their parameters."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from sparsebench.models.graphsgpt.model.configuration import FAITHFUL, GraphsGPTConfig
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.batch import MoleculeTokens, TokenBatch, collate
from sparsebench.models.graphsgpt.tokens.vocabulary import ELEMENTS, EdgeType, NodeType, Vocabulary
from sparsebench.models.official.graphsgpt import our_name

from .oracle import FOLDER, Oracle

ORACLE = Oracle("graphsgpt.safetensors")
ABOUT: dict[str, Any] = json.loads((FOLDER / "graphsgpt.json").read_text(encoding="utf-8"))
PROPERTIES = ("logp", "qed", "sa")
"""In our order, that of the alphabet."""
THEIR_PROPERTIES = ("qed", "sa", "logp")


def vocabulary() -> Vocabulary:
    """Bond classes in the recorded order, which is not the sorted one of `Vocabulary.faithful`."""
    rows = sorted(ABOUT["bond_dict"], key=lambda row: row[3])
    edges = tuple(EdgeType(low, high, order) for low, high, order, _ in rows)
    return Vocabulary(mode="faithful", nodes=tuple(NodeType(z, 0) for z in range(1, ELEMENTS + 1)), edges=edges)


def model(name: str) -> GraphsGPT:
    """`k1`, `k2`, or `cond`, whose properties are given standardised; in eval mode, with the recorded weights."""
    given = ABOUT["configs"][name]
    config = GraphsGPTConfig.of(
        vocabulary(),
        num_words=given["num_fingerprints"],
        max_atoms=given["position_feature_size"],
        code_size=given["position_feature_size"],
        hidden_size=given["hidden_size"],
        intermediate_size=given["intermediate_size"],
        num_hidden_layers=given["num_hidden_layers"],
        num_attention_heads=given["num_attention_heads"],
        rms_norm_eps=given["rms_norm_eps"],
        properties={prop: (0.0, 1.0) for prop in PROPERTIES} if name == "cond" else None,
    )
    assert {field: getattr(config, field) for field in FAITHFUL} == FAITHFUL
    made = GraphsGPT(config).eval()
    state = {our_name(key): value for key, value in ORACLE.below(f"{name}.state.").items()}
    if name == "cond":
        put_in_our_order(state, made)
    made.load_state_dict(state)
    return made


def put_in_our_order(state: dict[str, Tensor], made: GraphsGPT) -> None:
    """Rows of the properties, in place; the mark of a request, which only ours has, becomes 0."""
    order = [THEIR_PROPERTIES.index(prop) for prop in PROPERTIES]
    for name in ("encoder.condition.rows.weight", "encoder.condition.positions.embedding.weight"):
        state[name] = state[name][order]
    for name, value in made.state_dict().items():
        if name.startswith("encoder.condition.mark"):
            state[name] = torch.zeros_like(value)


def molecules() -> list[MoleculeTokens]:
    """The recorded tokens (4, L) of the 30 molecules."""
    names = ("input_ids", "graph_position_ids_1", "graph_position_ids_2", "identifier_ids")
    rows = torch.stack([ORACLE[name] for name in names], dim=1).short()
    mask = ORACLE["attention_mask"].bool()
    return [row[:, present].numpy() for row, present in zip(rows, mask, strict=True)]


def batch(count: int | None = None) -> TokenBatch:
    """The first `count` molecules, or all."""
    return collate(molecules()[:count])


def permutation(count: int | None = None) -> Tensor:
    """Codes of the atoms in the encoder (B, A): the recorded first ones, then the others."""
    first = ORACLE["graph_embedding_ids"][:count]
    codes = torch.arange(ABOUT["configs"]["k1"]["position_feature_size"])
    rest = [codes[~torch.isin(codes, row)] for row in first]
    return torch.cat([first, torch.stack(rest)], dim=1)
