"""Molecules that have no tokens for an encoder of graph words: to it each of them is the molecule without atoms."""

from collections.abc import Sequence

from sparsebench.models.graphsgpt import Tokenizer, TokenStatus

from .features.graph2seq import Graph2SeqBody


def refused(body: Graph2SeqBody, smiles: Sequence[str]) -> dict[int, str]:
    """Those that a body refuses, as `encode` does without a word.

    Args:
        body: says the vocabulary.
        smiles: molecules that RDKit reads.

    Returns:
        The reason by the place in the list.
    """
    found = Tokenizer(body.vocabulary)(smiles)
    rows = zip(found.status.tolist(), found.reasons, strict=True)
    return {place: reason for place, (status, reason) in enumerate(rows) if status != TokenStatus.OK}
