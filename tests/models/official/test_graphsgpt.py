"""GraphsGPT from official folders: the words and logits that the official code recorded, and bonds that are refused."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.model import encoder
from sparsebench.models.graphsgpt.tokens.batch import TokenBatch, collate
from sparsebench.models.graphsgpt.tokens.vocabulary import EdgeType
from sparsebench.models.official import from_official
from sparsebench.models.official.graphsgpt import read_bonds

from ..agreement import agree
from ..oracles.oracle import Oracle
from .folders import CONDITIONED, ONE_WORD, RECORDED, TWO_WORDS, configured, copied

NEAR = 1e-5
"""Relative to the greatest value."""
ROWS = ("input_ids", "graph_position_ids_1", "graph_position_ids_2", "identifier_ids")
HEADS = {"lm_head": "bond", "c_head_begin": "begin", "c_head_end": "end"}


def opened(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Oracle, TokenBatch]:
    """The model, what was recorded, and its batch; the encoder gives the atoms the recorded codes."""
    model: Any = from_official(RECORDED / name)
    recorded = Oracle(f"official_layouts/{name}/expected.safetensors")
    first = recorded["graph_embedding_ids"]
    codes = torch.arange(model.config.max_atoms)
    rest = torch.stack([codes[~torch.isin(codes, row)] for row in first])
    monkeypatch.setattr(encoder, "random_permutations", lambda *_: torch.cat([first, rest], dim=1))
    tokens = torch.stack([recorded[row] for row in ROWS], dim=1).short()
    mask = recorded["attention_mask"].bool()
    return model, recorded, collate([row[:, real].numpy() for row, real in zip(tokens, mask, strict=True)])


@pytest.mark.parametrize("name", [ONE_WORD, TWO_WORDS])
@torch.no_grad()
def test_words_and_logits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, recorded, batch = opened(name, monkeypatch)
    words = model.encoder(batch)
    agree(words, recorded["words"], "words", within=NEAR)
    states = model.decoder(batch, words)
    mask = recorded["attention_mask"].bool()
    real = torch.cat([mask[:, :1], mask], dim=1)
    for theirs, ours in HEADS.items():
        found: Tensor = getattr(model.heads, ours)(states)
        length = found.shape[1]  # they pad to more
        wanted = recorded[f"logits.{theirs}"][:, :length]
        agree(found[real[:, :length]], wanted[real[:, :length]], "logits", within=NEAR, where=theirs)


@pytest.mark.parametrize("asked", ["all", "qed", "sa", "logp"])
@torch.no_grad()
def test_requests(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standardised values; NaN where nothing is asked."""
    model, recorded, batch = opened(CONDITIONED, monkeypatch)
    columns = []
    for name in model.config.property_names:
        values = recorded[f"values_{name}"][:, 0]
        columns.append(values if asked in ("all", name) else torch.full_like(values, torch.nan))
    words = model.encoder(batch, wanted=torch.stack(columns, dim=1))
    agree(words, recorded[f"words.{asked}"], "words", within=NEAR)


def test_bonds() -> None:
    vocabulary = read_bonds(RECORDED / ONE_WORD / "bond_dict.pkl")
    assert len(vocabulary.nodes) == 118
    assert vocabulary.edges[0] == EdgeType(7, 8, 1.0)
    assert len(vocabulary.edges) == 15


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({(6, 6, 1.0): 119, (6, 7, 1.0): 121}, "does not number its bonds from 119 on"),
        ({(6, 6, 1.0): 119, (6, 7, 1.0): 119}, "does not number its bonds"),
        ({6: 119}, "holds no numbered bonds"),
        ([1], "holds no numbered bonds"),
        (Path("x"), "names pathlib"),
    ],
    ids=["a gap", "twice", "no triples", "a list", "a class"],
)
def test_other_bonds(held: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "bond_dict.pkl").write_bytes(pickle.dumps(held))
    with pytest.raises(ModelError, match=message):
        read_bonds(tmp_path / "bond_dict.pkl")


def test_no_bonds(tmp_path: Path) -> None:
    folder = copied(TWO_WORDS, tmp_path)
    (folder / "bond_dict.pkl").unlink()
    with pytest.raises(ModelError, match=r"bond_dict\.pkl is missing"):
        from_official(folder)


@pytest.mark.parametrize(
    ("name", "says", "message"),
    [
        (ONE_WORD, {"share_embeddings": True}, "share_embeddings=True"),
        (ONE_WORD, {"bond_vocab_size": 14}, "says bond_vocab_size=14, and its bond_dict.pkl has 15"),
        (CONDITIONED, {"num_properties": 4}, "other properties than qed, sa, logp"),
        (ONE_WORD, {"num_hidden_layers": 3}, "does not fit its configuration: tensors .* missing"),
    ],
    ids=str,
)
def test_what_is_not_known(name: str, says: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        from_official(configured(name, tmp_path, **says))
