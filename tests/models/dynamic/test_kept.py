"""What is kept, and when it is made again."""

import copy
import pickle

import torch

from sparsebench.models.dynamic.kept import Kept


def test_made_again_only_after_a_change():
    kept: Kept[torch.Tensor] = Kept()
    source = torch.ones(3)
    calls = []

    def make() -> torch.Tensor:
        calls.append(1)
        return source * 2

    first = kept.of(make, source)
    assert kept.of(make, source) is first and len(calls) == 1
    source.add_(1)
    assert kept.of(make, source)[0] == 4 and len(calls) == 2
    source.data = torch.full((3,), 7.0)
    assert kept.of(make, source)[0] == 14 and len(calls) == 3
    kept.of(make, source, also="float64")
    assert len(calls) == 4
    for other in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        other.of(make, source, also="float64")
    assert len(calls) == 6


def test_nothing_is_kept_of_what_counts_no_changes():
    kept: Kept[torch.Tensor] = Kept()
    with torch.inference_mode():
        source = torch.ones(3)
        first = kept.of(lambda: source * 2, source)
        source.add_(1)
        assert kept.of(lambda: source * 2, source)[0] == 4 and first[0] == 2


def test_what_is_made_in_inference_mode_is_an_ordinary_tensor():
    kept: Kept[torch.Tensor] = Kept()
    source = torch.ones(3)
    with torch.inference_mode():
        assert not kept.of(lambda: source * 2, source).is_inference()
