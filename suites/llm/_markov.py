"""Procedural text without any download: letters from a random Markov chain, some of them with several bytes."""

import functools

import torch

ALPHABET = "abcdefghijklmnoprstuvé–  .\n"
DOCUMENTS, LENGTH, SEED = 24, 600, 17
CONCENTRATION = 0.15
"""Small values make the next letter predictable."""


@functools.cache
def markov_documents(part: str) -> tuple[str, ...]:
    """The documents of one half ("calibration" or "test"); the same chain, other draws."""
    generator = torch.Generator().manual_seed(SEED)
    size = len(ALPHABET)
    # Powers of uniform numbers: few letters follow each letter.
    weights = torch.rand(size, size, generator=generator) ** (1 / CONCENTRATION)
    texts = [_walk(weights, generator) for _ in range(2 * DOCUMENTS)]
    return tuple(texts[:DOCUMENTS] if part == "calibration" else texts[DOCUMENTS:])


def _walk(weights: torch.Tensor, generator: torch.Generator) -> str:
    letters = [0]
    for _ in range(LENGTH):
        letters.append(int(torch.multinomial(weights[letters[-1]], 1, generator=generator)))
    return "".join(ALPHABET[letter] for letter in letters)
