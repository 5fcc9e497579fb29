"""Tokenising and collating MOSES beside a walk over bonds in plain Python, the design of GraphsGPT's own data code.

The peer is written here from the method: parse, normalise, walk bond by bond with lists that grow token by token, a
dict look-up per token, four small tensors per molecule, padded tensor by tensor; a new process pool at each call.
Its workers hand back lists, not tensors, which is to its advantage. It takes the atoms as they come, as ours does with
strings known to be canonical; by default ours also makes them canonical. The floor of tokenising is RDKit's parse.
"""

import os
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sparsebench.data.molecules.moses import moses
from sparsebench.models.graphsgpt.tokens.batch import collate
from sparsebench.models.graphsgpt.tokens.store import TokenStore, build_store
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary
from sparsebench.models.graphsgpt.tokens.workers import TokenizerPool

from .groups import Timed, Variant
from .rounds import WALL
from .scope import LONG

pytestmark = LONG
MOLECULES = 16_384
PROCESSES = min(2, os.cpu_count() or 1)
SMILES = "strings of the MOSES test split"
Walked = tuple[list[int], list[int], list[int], list[int]]


class Walk:
    """Element nodes and (element, element, order) edges in bond order."""

    def __init__(self) -> None:
        self.normalizer = rdMolStandardize.Normalizer()
        self.bonds: dict[tuple[int, int, float], int] = {}

    def encode(self, text: str) -> Walked | None:
        molecule = Chem.MolFromSmiles(text)
        if molecule is None:
            return None
        molecule = self.normalizer.normalize(molecule)
        tokens, first, second, is_node = [], [], [], []
        numbers: dict[int, int] = {}
        for bond in molecule.GetBonds():
            begin, end = bond.GetBeginAtom(), bond.GetEndAtom()
            if begin.GetIdx() > end.GetIdx():
                begin, end = end, begin
            for atom, is_end in ((begin, False), (end, True)):
                if is_end:
                    low, high = sorted((begin.GetAtomicNum(), end.GetAtomicNum()))
                    kind = (low, high, bond.GetBondTypeAsDouble())
                    tokens.append(120 + self.bonds.setdefault(kind, len(self.bonds)))
                    first.append(numbers[begin.GetIdx()])
                    second.append(numbers.get(end.GetIdx(), len(numbers)))
                    is_node.append(0)
                if atom.GetIdx() not in numbers:
                    numbers[atom.GetIdx()] = len(numbers)
                    tokens.append(1 + atom.GetAtomicNum())
                    first.append(numbers[atom.GetIdx()])
                    second.append(numbers[atom.GetIdx()])
                    is_node.append(1)
        return tokens, first, second, is_node


_walk: Walk | None = None


def _encode(text: str) -> Walked | None:
    global _walk
    _walk = _walk or Walk()
    with rdBase.BlockLogs():
        return _walk.encode(text)


def batch_encode(smiles: list[str]) -> list[tuple[Tensor, ...]]:
    """Four tensors per molecule; what cannot be read is dropped."""
    with get_context("fork").Pool(PROCESSES) as pool:
        walked = pool.map(_encode, smiles)
    return [tuple(torch.tensor(row) for row in rows) for rows in walked if rows is not None]


def pad(molecules: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Four padded tensors and the mask."""
    rows = [pad_sequence([molecule[row] for molecule in molecules], batch_first=True) for row in range(4)]
    return (*rows, rows[0] != 0)


@pytest.fixture(scope="module")
def smiles() -> list[str]:
    return moses("test")[:: 176_074 // MOLECULES][:MOLECULES]


@pytest.fixture(scope="module")
def store(smiles: list[str], tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    return build_store(tmp_path_factory.mktemp("tokens") / "store", smiles, Tokenizer(Vocabulary.improved()))


@pytest.fixture(scope="module")
def pools() -> Iterator[dict[str, Callable]]:
    vocabulary = Vocabulary.improved()
    with (
        TokenizerPool(vocabulary, PROCESSES) as pool,
        TokenizerPool(vocabulary, PROCESSES, canonical_strings=True) as trusting,
    ):
        yield {"sparsebench": pool, "sparsebench, canonical strings": trusting, "walk, new pool": batch_encode}


def role(name: str) -> str:
    if name.startswith("sparsebench"):
        return "ours"
    return "floor" if "parse" in name else "peer"


def parse_all(smiles: list[str]) -> None:
    """RDKit alone, in this process."""
    for text in smiles:
        Chem.MolFromSmiles(text)


POOLS = ("sparsebench", "sparsebench, canonical strings", "walk, new pool")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("name", POOLS)
def test_tokenise(name: str, smiles: list[str], pools: dict[str, Callable], compare: Callable[..., Timed]) -> None:
    def variant(name: str) -> Variant:
        result = pools[name](smiles)
        lengths = [len(molecule[0]) for molecule in result] if "walk" in name else result.lengths.tolist()
        assert lengths == [m.GetNumAtoms() + m.GetNumBonds() for m in map(Chem.MolFromSmiles, smiles)]
        return Variant(call=lambda: pools[name](smiles), role=role(name), facts={"rows": MOLECULES})

    group = f"Tokenise {MOLECULES:,} {SMILES}, {PROCESSES} processes"
    compare(name, POOLS, variant, group=group, clock=WALL, rounds=5)


ALONE = ("sparsebench", "sparsebench, canonical strings", "walk", "RDKit parse")


@pytest.mark.parametrize("name", ALONE)
def test_tokenise_one_process(name: str, smiles: list[str], compare: Callable[..., Timed]) -> None:
    some = smiles[:512]

    def variant(name: str) -> Variant:
        call = {
            "sparsebench": Tokenizer(Vocabulary.improved()),
            "sparsebench, canonical strings": Tokenizer(Vocabulary.improved(), canonical_strings=True),
            "walk": lambda texts: [tuple(torch.tensor(row) for row in _encode(text) or ()) for text in texts],
            "RDKit parse": parse_all,
        }[name]
        return Variant(call=lambda: call(some), role=role(name), facts={"rows": len(some)})

    compare(name, ALONE, variant, group=f"Tokenise 512 {SMILES}, 1 process")


COLLATED = ("sparsebench, store", "sparsebench, list", "four tensors per molecule")


@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("name", COLLATED)
def test_collate(name: str, size: int, store: TokenStore, compare: Callable[..., Timed]) -> None:
    """Ours also gives block indices, boolean tensors and lengths."""
    chosen = np.random.default_rng(0).permutation(len(store))[:size]
    arrays = [store[index].copy() for index in chosen]
    tensors = [tuple(torch.from_numpy(row.astype(np.int64)) for row in tokens) for tokens in arrays]
    batch, padded = collate(arrays), pad(tensors)
    assert torch.equal(batch.tokens, padded[0]) and torch.equal(batch.mask, padded[-1])

    def variant(name: str) -> Variant:
        call: Callable[[], Any] = {
            "sparsebench, store": lambda: store.batch(chosen),
            "sparsebench, list": lambda: collate(arrays),
            "four tensors per molecule": lambda: pad(tensors),
        }[name]
        result = call()
        assert torch.equal(result.tokens if name.startswith("sparsebench") else result[0], batch.tokens)
        return Variant(call=call, role=role(name), facts={"rows": size})

    compare(name, COLLATED, variant, group=f"Collate {size} MOSES molecules")
