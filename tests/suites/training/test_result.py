"""What a training gives."""

import torch

from sparsebench.suites.training.result import CURVE_POINTS, peak_memory, thin


def test_points_are_means_over_equal_stretches() -> None:
    points = [(float(step), float(step)) for step in range(1, 2 * CURVE_POINTS + 2)]
    thinned = thin(points)
    assert thinned[0] == (3.0, 2.0) and thinned[-1][0] == points[-1][0]
    assert CURVE_POINTS // 2 <= len(thinned) <= CURVE_POINTS
    assert thin(points[:7]) == points[:7] and thin([]) == []


def test_peak_memory_is_at_least_what_is_held() -> None:
    held = torch.ones(2**20)
    assert peak_memory(torch.device("cpu")) > held.nbytes
