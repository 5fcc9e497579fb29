from collections import Counter

import numpy as np
import pytest

from sparsebench.suites.molecules.metrics.counters import cosine


def test_cosine_agrees_with_numpy():
    a, b = Counter(x=3, y=1, z=4), {"y": 2, "z": 5, "w": 100_000}
    u, v = np.array([3, 1, 4, 0]), np.array([0, 2, 5, 100_000])
    assert cosine(a, b, 8).value == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    assert cosine(a, a, 8).value == pytest.approx(1) and cosine(a, {"q": 1}, 8).value == 0


def test_cosine_of_nothing():
    with pytest.raises(ValueError, match="empty"):
        cosine({}, {"x": 1}, 0)
