"""GraphsGPT: molecules as graph words, and back (arXiv 2402.02464).

The tokenizer's side is imported at once; what needs transformers, when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .buckets import length_batches, padding_share
from .detokenize import to_molecule, to_smiles
from .faithful import collect_bonds
from .scaffold_first import ScaffoldFirstTokenizer
from .status import TokenStatus
from .store import TokenStore, build_store, open_store
from .tokenizer import TokenisedMolecules, Tokenizer
from .tokens import MoleculeTokens, TokenBatch, collate
from .vocabulary import Vocabulary
from .workers import TokenizerPool

if TYPE_CHECKING:
    from .configuration import GraphsGPTConfig
    from .decoder import GraphGPT
    from .decoding import DecodingConfig
    from .encoder import Graph2Seq
    from .modeling import GraphsGPT
    from .pipeline import GraphsGPTPipeline
    from .results import Encoded, Generated

__all__ = [
    "DecodingConfig",
    "Encoded",
    "Generated",
    "Graph2Seq",
    "GraphGPT",
    "GraphsGPT",
    "GraphsGPTConfig",
    "GraphsGPTPipeline",
    "MoleculeTokens",
    "ScaffoldFirstTokenizer",
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

_LATER = {
    "DecodingConfig": ".decoding",
    "Encoded": ".results",
    "Generated": ".results",
    "Graph2Seq": ".encoder",
    "GraphGPT": ".decoder",
    "GraphsGPT": ".modeling",
    "GraphsGPTConfig": ".configuration",
    "GraphsGPTPipeline": ".pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name], __name__), name)
