"""GraphsGPT: molecules as graph words, and back (arXiv 2402.02464)."""

from .buckets import length_batches, padding_share
from .detokenize import to_molecule, to_smiles
from .faithful import collect_bonds
from .status import TokenStatus
from .store import TokenStore, build_store, open_store
from .tokenizer import TokenisedMolecules, Tokenizer
from .tokens import MoleculeTokens, TokenBatch, collate
from .vocabulary import Vocabulary
from .workers import TokenizerPool

__all__ = [
    "MoleculeTokens",
    "TokenBatch",
    "TokenStatus",
    "TokenStore",
    "TokenisedMolecules",
    "Tokenizer",
    "TokenizerPool",
    "Vocabulary",
    "build_store",
    "collate",
    "collect_bonds",
    "length_batches",
    "open_store",
    "padding_share",
    "to_molecule",
    "to_smiles",
]
