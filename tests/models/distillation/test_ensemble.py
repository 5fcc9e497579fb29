"""Two models as one, and the map between two normalisations of the same images."""

import pytest
import torch
from torch import nn

from sparsebench.models.distillation import Ensemble, channel_map
from sparsebench.models.errors import ModelError


def images(seed: int = 0, size: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, size, size), generator=torch.Generator().manual_seed(seed)).float()


def normalised(pixels: torch.Tensor, mean: list[float], std: list[float]) -> torch.Tensor:
    return (pixels / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def test_the_logits_are_averaged() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    x = torch.randn(5, 3)
    torch.testing.assert_close(Ensemble(first, second)(x), (first(x) + second(x)) / 2)


def test_the_second_model_reads_its_own_normalisation() -> None:
    pixels = images()
    own = normalised(pixels, [0.5] * 3, [0.5] * 3)
    other = normalised(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    found = channel_map(own, other)
    assert found is not None
    seen = []
    model = Ensemble(nn.Flatten(), nn.Flatten(), *found)
    model.second.register_forward_hook(lambda module, given, result: seen.append(given[0]))
    model(own)
    torch.testing.assert_close(seen[0], other, rtol=0, atol=1e-5)
    again = Ensemble(nn.Flatten(), nn.Flatten(), torch.zeros(3), torch.zeros(3))
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(own), model(own))


def test_other_images_have_no_map() -> None:
    assert channel_map(images(0), images(1)) is None
    assert channel_map(images(0), images(0, size=8)) is None
    assert channel_map(torch.zeros(4, 5), torch.zeros(4, 5)) is None


def test_a_channel_that_is_the_same_everywhere_is_shifted() -> None:
    found = channel_map(torch.zeros(2, 1, 3, 3), torch.full((2, 1, 3, 3), 2.0))
    assert found is not None
    assert (found[0].item(), found[1].item()) == (1.0, 2.0)


def test_half_a_map_is_refused() -> None:
    with pytest.raises(ModelError, match="both, or neither"):
        Ensemble(nn.Identity(), nn.Identity(), torch.ones(3))
