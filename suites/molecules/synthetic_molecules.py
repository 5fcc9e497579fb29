"""Random molecules built in code, for smoke tests."""

import functools

import numpy as np

COUNT = 240
PIECES = ("C", "CO", "CN", "C(=O)", "C(C)", "C(F)", "C(O)", "C1CC(C1)", "C1CCC(CC1)", "c1ccc(cc1)", "c1ccc(nc1)")


@functools.cache
def synthetic_molecules() -> tuple[str, ...]:
    """Different chains of 3 to 7 pieces, always the same."""
    generator = np.random.default_rng(0)
    smiles: dict[str, None] = {}
    while len(smiles) < COUNT:
        chosen = generator.choice(PIECES, size=generator.integers(3, 8))
        smiles["C" + "".join(chosen) + "C"] = None
    return tuple(smiles)
