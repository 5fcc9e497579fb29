import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.reuse import KEPT, Reuse

REUSE = Reuse(("code", "law", "math"), {"code": 0.75, "law": 0.25})


def test_old_sets_are_drawn_in_their_old_ratios():
    whole = REUSE.expanded({KEPT: 0.8, "math": 0.2})
    assert whole == pytest.approx({"code": 0.6, "law": 0.2, "math": 0.2})
    weights = np.array([list(whole.values())])
    assert REUSE.collapsed(weights) == pytest.approx(np.array([[0.8, 0.2]]))
    assert REUSE.summed(np.array([0.1, 0.3, 0.6])) == pytest.approx([0.4, 0.6])


def test_a_bound_of_an_old_set_bounds_all_old_ones():
    """A quarter of the kept mixture is law: with at most 0.1 of it there are 0.4 of both."""
    free = REUSE.most(np.array([0.6, 0.1, 0.3]))
    assert free == pytest.approx([0.4, 0.3])
    assert REUSE.matrix_NM @ free == pytest.approx([0.3, 0.1, 0.3])


def test_other_ratios_and_other_names():
    with pytest.raises(MixtureError, match="other ratios"):
        REUSE.collapsed(np.array([[0.4, 0.4, 0.2]]))
    with pytest.raises(MixtureError, match="'chat', which is no data set"):
        Reuse(("code", "law"), {"chat": 1.0})
    with pytest.raises(MixtureError, match="no data set 'law' in the mixture"):
        REUSE.expanded({KEPT: 0.8, "law": 0.2})
