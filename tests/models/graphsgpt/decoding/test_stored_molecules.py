"""What every way of decoding wrote before the code was last rewritten: the same molecules must come out.

`stored_molecules.json` has, for each way and each row of words: status, SMILES, repaired edges, log-probability and a
digest of the tokens. Run this file as a module to write it again where a way of decoding is meant to change.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sparsebench.models.graphsgpt import DecodingConfig, Generated, GraphsGPT, GraphsGPTPipeline
from sparsebench.suites.molecules.graphsgpt_small import load_small

from ..published_rules import talkative

FILE = Path(__file__).with_name("stored_molecules.json")
SMILES = ["CCOc1ccccc1", "CC(=O)Nc1ccccc1", "O=C(Nc1ccc(F)cc1)c1ccco1", "Cc1noc(C)c1CN1CCC(C(N)=O)CC1"]
SCAFFOLD = "c1ccncc1"

IMPROVED: dict[str, dict[str, Any]] = {
    "constrained": {},
    "constrained, drawn": {"temperature": 1.0},
    "constrained, hot, top 5": {"temperature": 2.0, "top_k": 5},
    "constrained, nine atoms": {"temperature": 1.5, "max_atoms": 9},
    "constrained, seven edges": {"temperature": 1.5, "max_edges": 7},
    "free": {"constrained": False},
    "free, drawn": {"temperature": 1.0, "constrained": False},
}
FAITHFUL: dict[str, dict[str, Any]] = {
    "constrained": {},
    "constrained, drawn": {"temperature": 1.0},
    "strict": {"constrained": False},
    "strict, drawn": {"constrained": False, "temperature": 1.0, "top_k": 4},
    "strict, valences": {"constrained": False, "valence_check": True},
    "strict, aromatic bonds fixed": {"constrained": False, "fix_aromatic": True, "temperature": 1.0},
    "flexible": {"constrained": False, "rules": "flexible"},
    "flexible, drawn, valences": {"constrained": False, "rules": "flexible", "temperature": 1.0, "valence_check": True},
}
WAYS = [("autoregressive", way) for way in (*IMPROVED, "scaffold", "free scaffold")]
WAYS += [("independent", way) for way in (*IMPROVED, "scaffold", "free scaffold")]
WAYS += [("faithful", way) for way in FAITHFUL]


@contextmanager
def portable_draws() -> Iterator[None]:
    """Classes are drawn by numpy's generator from cumulated probabilities: torch draws differently by platform."""
    generator = np.random.default_rng(0)

    def draw(weights: Tensor, count: int, generator_of_torch: Any = None, **_: Any) -> Tensor:
        assert count == 1
        place = torch.from_numpy(generator.random((len(weights), 1)))
        return torch.searchsorted(weights.double().cumsum(-1), place).clamp(max=weights.shape[-1] - 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "multinomial", draw)
        yield


@cache
def model_of(heads: str, seed: int = 0) -> GraphsGPT:
    if heads == "faithful":
        return talkative(seed, peak=5)
    model = load_small()
    if heads == "independent":
        model.heads.chain = None
    return model


def made(heads: str, way: str) -> list[Generated]:
    """The molecules of one way of decoding."""
    if heads == "faithful":
        words = 2 * torch.randn(4, 3, 32, generator=torch.Generator().manual_seed(1))
        config = DecodingConfig(**({"max_edges": 12} | FAITHFUL[way]))
        molecules: list[Generated] = []
        with portable_draws():
            for seed in range(4):
                molecules += GraphsGPTPipeline(model_of(heads, seed)).decode(words, config)
        return molecules
    pipeline = GraphsGPTPipeline(model_of(heads))
    words = pipeline.encode(SMILES).words
    with portable_draws():
        if way in IMPROVED:
            return pipeline.decode(words, DecodingConfig(**IMPROVED[way]))
        config = DecodingConfig(temperature=1.0, constrained=way == "scaffold")
        return pipeline.decode(words, config, prefix=pipeline.tokenize(SCAFFOLD)[0])


def row_of(molecule: Generated) -> dict[str, Any]:
    digest = hashlib.sha256(np.ascontiguousarray(molecule.tokens).tobytes()).hexdigest()[:16]
    return {
        "status": molecule.status,
        "smiles": molecule.smiles,
        "repaired": molecule.repaired,
        "length": molecule.tokens.shape[1],
        "tokens": digest,
        "log_prob": round(molecule.log_prob, 4),
    }


@pytest.mark.parametrize(("heads", "way"), WAYS)
def test_the_molecules_are_those_that_are_stored(heads: str, way: str) -> None:
    expected = json.loads(FILE.read_text(encoding="utf-8"))[f"{heads}: {way}"]
    found = [row_of(molecule) for molecule in made(heads, way)]
    for ours, stored in zip(found, expected, strict=True):
        assert ours.pop("log_prob") == pytest.approx(stored.pop("log_prob"), abs=2e-3)
        assert ours == stored


def test_the_stored_molecules_are_of_all_kinds() -> None:
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    assert list(stored) == [f"{heads}: {way}" for heads, way in WAYS]
    rows = [row for part in stored.values() for row in part]
    assert {row["status"] for row in rows} == {"ok", "truncated", "invalid"}
    assert sum(row["repaired"] > 0 for row in rows) > 20
    assert len({row["tokens"] for row in rows}) > 60


if __name__ == "__main__":
    content = {f"{heads}: {way}": [row_of(molecule) for molecule in made(heads, way)] for heads, way in WAYS}
    lines = [f'"{name}": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n]" for name, rows in content.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
