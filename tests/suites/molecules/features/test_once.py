"""Featurised once: what is computed, what is given, and what a failure leaves."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from sparsebench.suites.molecules.features.once import featurise_once


def test_a_list_without_new_strings_is_only_looked_up() -> None:
    calls: list[Sequence[str]] = []

    def lengths(raw: Sequence[str]) -> list[Tensor]:
        calls.append(raw)
        return [torch.tensor(len(text)) for text in raw]

    cache: dict[str, Tensor] = {}
    assert featurise_once(cache, ["C", "CO", "C"], lengths) == [1, 2, 1]
    featurise_once(cache, ["CO"], lengths)[0].zero_()  # whoever edits what it was given edits that alone
    assert featurise_once(cache, ["CO", "C"], lengths) == [2, 1]
    assert featurise_once(cache, ["C", "CCC"], lengths) == [1, 3]
    assert calls == [["C", "CO", "C"], ["C", "CCC"]], "the whole list, so that an error names the row"


def test_a_failure_leaves_the_cache_as_it_was() -> None:
    def fail(raw: Sequence[str]) -> list[Tensor]:
        raise ValueError("row 1")

    cache = {"C": torch.tensor(1)}
    with pytest.raises(ValueError, match="row 1"):
        featurise_once(cache, ["C", "?"], fail)
    with pytest.raises(ValueError, match="shorter"):
        featurise_once(cache, ["CC"], lambda raw: [])
    assert cache == {"C": 1}
