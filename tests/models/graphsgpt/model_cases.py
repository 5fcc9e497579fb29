"""Molecules, a vocabulary and small models for the tests of the model."""

import torch
from torch import Tensor

from sparsebench.models.graphsgpt.decoding.valence import Edge
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.batch import TokenBatch
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

SMILES = [
    "CCCS(=O)c1ccc2[nH]c(=NC(=O)OC)[nH]c2c1",
    "CC(C)(C)C(=O)C(Oc1ccc(Cl)cc1)n1ccnc1",
    "Cc1c(Cl)cccc1Nc1ncccc1C(=O)OCC(O)CO",
    "Cn1cnc2c1c(=O)n(CC(O)CO)c(=O)n2C",
    "CC1Oc2ccc(Cl)cc2N(CC(O)CO)C1=O",
    "CCOC(=O)c1cncn1C1CCCc2ccccc21",
    "COc1ccccc1OC(=O)Oc1ccccc1OC",
    "O=C1Nc2ccc(Cl)cc2C(c2ccccc2Cl)=NC1O",
    "CN1C(=O)C(O)N=C(c2ccccc2Cl)c2cc(Cl)ccc21",
    "CCC(=O)c1ccc(OCC(O)CO)c(OC)c1",
    "CC(=O)NC1CCCN(C(=O)c2cccs2)C1",
    "Cc1noc(C)c1CN1CCC(C(N)=O)CC1",
    "O=C(Nc1ccc(F)cc1)c1ccco1",
    "N#Cc1ccc(NC(=O)CN2CCOCC2)cc1",
    "CCN(CC)S(=O)(=O)c1ccc(Br)cc1",
    "COc1cc(C=O)ccc1OCc1ccccc1",
]
MIXED = ["C", "CCO", "C1CC1", "C[N+](C)(C)CC(=O)[O-]", "[NH4+].[Cl-].CC", *SMILES[:3]]
ATOMS = [(6, 0), (7, 0), (8, 0), (9, 0), (16, 0), (17, 0), (35, 0), (7, 1), (8, -1), (17, -1)]
VOCABULARY = Vocabulary.improved(ATOMS)
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_words": 3}


def small(vocabulary: Vocabulary = VOCABULARY, **fields: object) -> GraphsGPT:
    """A model of a few thousand weights, in eval mode."""
    return GraphsGPT(GraphsGPTConfig.of(vocabulary, **(SIZES | fields))).eval()


def faithful() -> GraphsGPT:
    """The same with the bonds of published vocabularies."""
    return small(Vocabulary.faithful([(6, 6, 1), (6, 6, 1.5), (6, 8, 1), (6, 8, 2)]))


def batch(smiles: list[str] | None = None) -> TokenBatch:
    """Tokens of some molecules."""
    return Tokenizer(VOCABULARY)(MIXED if smiles is None else smiles).batch()


def noise(rows: int, seed: int = 0, words: int = 3) -> Tensor:
    """Words (rows, words, 32) of a small model."""
    return torch.randn(rows, words, 32, generator=torch.Generator().manual_seed(seed))


def edge(*values: int) -> Edge:
    """An edge of one molecule."""
    return Edge(*(torch.tensor([value]) for value in values))


def chained(vocabulary: Vocabulary = VOCABULARY, **fields: object) -> GraphsGPT:
    """Random weights, also where training starts from 0, and heads that are not near a tie."""
    model = small(vocabulary, autoregressive_heads=True, **fields)
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for known in (model.heads.chain.at_begin, model.heads.chain.at_end):
            known.down.weight.normal_(std=0.3, generator=draw)
        for head in (model.heads.bond, model.heads.first_atom, model.heads.atom):
            head.weight.mul_(10)
    return model


def peaked(**fields: object) -> GraphsGPT:
    """Random weights with heads so large that probabilities are not near a tie."""
    model = small(**fields)
    with torch.no_grad():
        for head in (model.heads.bond, model.heads.first_atom, model.heads.atom):
            head.weight.mul_(20)
    return model
