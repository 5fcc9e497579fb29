import numpy as np
import pytest
from rdkit import Chem

from sparsebench.suites.molecules.metrics.diversity import internal_diversity, snn
from sparsebench.suites.molecules.metrics.fingerprints import morgan, shared_bits


def test_shared_bits_of_small_and_large_fingerprints():
    generator = np.random.default_rng(0)
    for bits in (100, 1024):  # the larger ones share more than a byte holds
        a, b = ((generator.random((n, bits)) < 0.7).astype(np.uint8) for n in (40, 2500))
        order = generator.permutation(len(b))
        found = np.empty((len(a), len(b)), dtype=np.int64)
        for part, shared in shared_bits(a, b, order):
            found[:, part] = shared
        np.testing.assert_array_equal(found, a.astype(np.int64) @ b.T.astype(np.int64))


def test_nothing_to_compare(molecules: list[Chem.Mol]):
    none, bits = morgan([]), morgan(molecules[:2])
    for call in (lambda: snn(none, bits), lambda: snn(bits, none), lambda: internal_diversity(none)):
        with pytest.raises(ValueError, match=r"both sides|not defined"):
            call()
