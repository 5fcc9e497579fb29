"""The stream of batches: its parts, and that it goes on where it was."""

import pytest
import torch

from sparsebench.suites.vtab.pretraining.sources import Source
from sparsebench.suites.vtab.pretraining.stream import Batch, ImageStream

COUNTS = {"fractals": 4, "contours": 5, "photographs": 7}


def equal(first: Batch, second: Batch) -> bool:
    pairs = [(a, b) for name in first for a, b in zip(first[name], second[name], strict=True)]
    return first.keys() == second.keys() and all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def stream(learnt: list[Source]) -> ImageStream:
    return ImageStream(learnt, COUNTS, 0)


def test_a_batch_has_images_of_every_source(stream: ImageStream) -> None:
    batch = next(iter(stream))
    assert {name: len(part.labels) for name, part in batch.items()} == COUNTS
    assert all(part.images.shape == (COUNTS[name], 3, 24, 24) for name, part in batch.items())


def test_it_goes_on_where_it_was(stream: ImageStream, learnt: list[Source]) -> None:
    for _ in range(3):
        stream.draw()
    other = ImageStream(learnt, COUNTS, 1)
    other.load_state_dict(stream.state_dict())
    following = stream.draw()
    assert equal(following, other.draw()) and not equal(following, other.draw())


def test_the_fingerprint_says_what_is_drawn(stream: ImageStream) -> None:
    text = stream.fingerprint()
    assert text.startswith("4 of 6 fractals, seed 0; 5 of 8 contours, seed 0; 7 of 30 photographs of CIFAR-10, sha256 ")
