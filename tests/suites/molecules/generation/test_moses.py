"""What the MOSES tasks share: training molecules at random, test molecules in a fixed order, what is drawn."""

from collections.abc import Callable, Iterator

import pytest
import torch

from sparsebench.models.graphsgpt import Generated
from sparsebench.suites.molecules.generation import moses
from sparsebench.suites.molecules.generation.moses import SHOWN, grid
from sparsebench.suites.molecules.tasks.moses_reconstruction import MosesReconstruction

FILES = {"train": [f"train {row}" for row in range(50)], "test": [f"test {row}" for row in range(50)]}


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(moses, "moses", FILES.__getitem__)
    for cached in (moses._training_set, moses.test_set):
        cached.cache_clear()
    yield
    for cached in (moses._training_set, moses.test_set):
        cached.cache_clear()


@pytest.mark.usefixtures("files")
def test_training_molecules_are_different_ones_decided_by_the_generator() -> None:
    task = MosesReconstruction()
    first, again, other = (task.training_molecules(20, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first == again != other and len(set(first)) == 20 and set(first) < set(FILES["train"])
    assert sorted(task.training_molecules(99, torch.Generator())) == sorted(FILES["train"]), "there are no more"


@pytest.mark.usefixtures("files")
def test_the_test_part_is_shuffled_once_and_for_all() -> None:
    first = list(moses.test_set())
    moses.test_set.cache_clear()
    assert moses.test_set() == first != FILES["test"] and sorted(first) == sorted(FILES["test"])


def test_a_set_to_draw_leaves_out_what_cannot_be_read(generated: Callable[..., Generated]) -> None:
    drawn = grid("title", [generated(""), *(generated("C" * n) for n in range(1, 20))])
    assert [item.smiles for item in drawn.items] == ["C" * n for n in range(1, SHOWN + 1)]
    (note,) = grid("title", [generated("")]).items
    assert (note.smiles, note.caption) == ("", "none can be read")
