from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.suites.training.augmentation import ShiftedAndMirrored, shifted_and_mirrored

from .toy import Numbers


class Pictures:
    """Images whose every pixel is another number above 0."""

    lengths = None
    train = [(torch.arange(1.0, 1 + 2 * 6 * 5).view(2, 6, 5), torch.tensor(0))] * 3

    def collate(self, examples: list[Any]) -> tuple[Tensor, Tensor]:
        images, targets = zip(*examples, strict=True)
        return torch.stack(images), torch.stack(targets)


def test_each_image_is_a_window_of_its_padded_self_or_of_its_mirror_image() -> None:
    x = torch.randn(40, 2, 6, 5, generator=torch.Generator().manual_seed(0))
    found = shifted_and_mirrored(x, torch.Generator().manual_seed(1), padding=2)
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    seen = set()
    for place in range(40):
        for top in range(5):
            for left in range(5):
                window = padded[place, :, top : top + 6, left : left + 5]
                for mirrored in (False, True):
                    if torch.equal(found[place], window.flip(-1) if mirrored else window):
                        seen.add((place, top, left, mirrored))
    assert len(seen) == 40, "each is one of them"
    assert {mirrored for *_, mirrored in seen} == {False, True}
    assert {top for _, top, _, _ in seen} == {left for _, _, left, _ in seen} == set(range(5))


def test_draws_go_on_from_a_checkpoint() -> None:
    data = ShiftedAndMirrored(Pictures(), torch.Generator().manual_seed(0))
    data.collate(data.train)
    state = data.state_dict()
    images, targets = data.collate(data.train)
    other = ShiftedAndMirrored(Pictures(), torch.Generator().manual_seed(5))
    other.load_state_dict(state)
    assert torch.equal(other.collate(data.train)[0], images) and targets.tolist() == [0, 0, 0]
    assert not torch.equal(images, Pictures().collate(Pictures.train)[0])
    assert data.lengths is None


def test_numbers_are_no_images() -> None:
    with pytest.raises(ValueError, match="these examples are none"):
        ShiftedAndMirrored(Numbers(), torch.Generator())
