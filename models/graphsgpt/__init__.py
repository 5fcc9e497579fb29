"""GraphsGPT: molecules as graph words, and back (arXiv 2402.02464).

The tokenizer's side is imported at once; what needs transformers, when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import optional
from ..hub.registration import announce
from ..length_batches import length_batches, padding_fraction

with optional():
    from .tokens.batch import MoleculeTokens, TokenBatch, collate
    from .tokens.detokenize import to_molecule, to_smiles
    from .tokens.faithful import collect_bonds
    from .tokens.scaffold_first import ScaffoldFirstTokenizer
    from .tokens.status import TokenStatus
    from .tokens.store import TokenStore, build_store, open_store
    from .tokens.tokenizer import TokenisedMolecules, Tokenizer
    from .tokens.vocabulary import Vocabulary
    from .tokens.workers import TokenizerPool

if TYPE_CHECKING:
    from .decoding.config import DecodingConfig
    from .model.configuration import GraphsGPTConfig
    from .model.decoder import GraphGPT
    from .model.encoder import Graph2Seq
    from .model.modeling import GraphsGPT
    from .model.molecule_head import GraphsGPTForSequenceClassification
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
    "GraphsGPTForSequenceClassification",
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
    "padding_fraction",
    "to_molecule",
    "to_smiles",
]

_LATER = {
    "DecodingConfig": ".decoding.config",
    "Encoded": ".results",
    "Generated": ".results",
    "Graph2Seq": ".model.encoder",
    "GraphGPT": ".model.decoder",
    "GraphsGPT": ".model.modeling",
    "GraphsGPTConfig": ".model.modeling",  # which tells the Auto classes of transformers about all models
    "GraphsGPTForSequenceClassification": ".model.molecule_head",
    "GraphsGPTPipeline": ".pipeline",
}

# `model.modeling` has the configuration, and registers the models as well.
announce("graphsgpt", f"{__name__}.model.modeling:GraphsGPTConfig")


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name], __name__), name)
