"""Molecules that the official GraphsGPT decodes, by its strict and its flexible rules, token for token."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem, rdBase

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.decoding.output import Decoded
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT

from ..agreement import agree
from .graphsgpt_models import ABOUT, ORACLE, model

MOST = 15
"""Molecules of 30 of which the official code may make none, so that the tests compare some."""


def runs() -> list[tuple[str, dict[str, Any]]]:
    """All but those without a check of the first atom, which ours does not leave out."""
    found = []
    for name, parts in ABOUT["decoding"].items():
        found += [(name, run) for run in parts if run["check_first_node"]]
    return found


def name_of(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    valence = ".valence" if value["check_atom_valence"] else ""
    aromatic = ".aromatic" if value["fix_aromatic_bond"] else ""
    return f"{value['words']}.{value['rules']}{valence}{aromatic}"


RUNS = runs()
PLAIN = [(name, run) for name, run in RUNS if not run["fix_aromatic_bond"]]
REPAIRED = [(name, run) for name, run in RUNS if run["fix_aromatic_bond"]]

loaded = cache(model)


def decoded(made: GraphsGPT, name: str, run: dict[str, Any]) -> list[Decoded]:
    config = DecodingConfig(
        constrained=False,
        rules=run["rules"],
        valence_check=run["check_atom_valence"],
        fix_aromatic=run["fix_aromatic_bond"],
    )
    return decode(made, ORACLE[f"{name}.decode.{run['words']}.words"], config=config)


def equal(found: list[Decoded], name: str, run: dict[str, Any]) -> list[bool]:
    """Of each molecule, whether the tokens are the recorded ones, or both failed."""
    stem = f"{name}.decode.{name_of(run)}"
    tokens, lengths = ORACLE[f"{stem}.tokens"].numpy(), ORACLE[f"{stem}.lengths"].tolist()
    same = []
    for molecule, rows, length in zip(found, tokens, lengths, strict=True):
        if length == 0 or molecule.status != "complete":
            same.append(length == 0 and molecule.status == "invalid")
        else:
            same.append(np.array_equal(molecule.tokens, rows[:, :length]))
    assert lengths.count(0) <= MOST
    return same


@pytest.mark.parametrize(("name", "run"), PLAIN, ids=name_of)
def test_tokens(name: str, run: dict[str, Any]) -> None:
    same = equal(decoded(loaded(name), name, run), name, run)
    agree(torch.tensor(same), torch.ones(len(same), dtype=torch.bool), "molecules", where=str(same))


@pytest.mark.parametrize(("name", "run"), REPAIRED, ids=name_of)
def test_repaired_molecules(name: str, run: dict[str, Any]) -> None:
    """With dissociated aromatic bonds replaced, the molecules, or none where RDKit makes none of the result."""
    found = decoded(loaded(name), name, run)
    with rdBase.BlockLogs():
        theirs = [Chem.MolFromSmiles(smiles or "*") for smiles in run["smiles"]]
    made = 0
    for ours, smiles, molecule in zip(found, run["smiles"], theirs, strict=True):
        if smiles is None or molecule is None:
            assert ours.molecule is None
        else:
            assert Chem.MolToSmiles(ours.molecule) == Chem.MolToSmiles(molecule)
            made += 1
    assert made >= 30 - MOST


@pytest.mark.parametrize("part", ["bond", "begin", "end"])
def test_another_head_is_seen(part: str) -> None:
    """Other predictions of one part decode other molecules."""
    made = model("k1")
    with torch.no_grad():
        weight = getattr(made.heads, part).weight
        weight.copy_(weight.roll(1, dims=0))
    run = next(run for name, run in PLAIN if name == "k1" and run["rules"] == "flexible")
    assert not all(equal(decoded(made, "k1", run), "k1", run))
