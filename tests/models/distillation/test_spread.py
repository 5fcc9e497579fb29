"""Numbers for how spread weights are, against values by hand and by other libraries."""

import pytest
import scipy.stats
import timm
import torch
from torch import nn

from sparsebench.models.adapters import BottleneckConfig, LoRAConfig, attach
from sparsebench.models.distillation import adapter_weights, compare_spread, weight_spread
from sparsebench.models.errors import ModelError


def test_by_hand() -> None:
    found = weight_spread({"a": torch.tensor([[-1.0, 1.0]]), "b": torch.tensor([3.0, -3.0, 0.005])})
    assert found.count == 5
    assert found.mean == pytest.approx(0.001)
    assert found.std == pytest.approx((20.000025 / 5 - 0.001**2) ** 0.5)
    assert found.interquartile == 2.0
    assert found.close == 0.2


@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
def test_shape_of_a_distribution(draw: str) -> None:
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(200_000, generator=generator, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
    drawn = {"normal": scipy.stats.norm, "laplace": scipy.stats.laplace, "uniform": scipy.stats.uniform}[draw]
    weights = torch.from_numpy(drawn.ppf(uniform.numpy()))
    found = weight_spread({"w": weights.view(400, 500)})
    assert found.excess_kurtosis == pytest.approx(scipy.stats.kurtosis(weights.numpy()), rel=1e-9)
    assert found.interquartile == pytest.approx(scipy.stats.iqr(weights.numpy()), rel=1e-4)
    assert found.std == pytest.approx(weights.numpy().std(), rel=1e-12)


def test_equal_weights_have_no_spread() -> None:
    found = weight_spread({"w": torch.full((4,), 0.5)})
    assert (found.std, found.interquartile, found.excess_kurtosis) == (0, 0, 0)
    assert compare_spread({"w": torch.ones(4)}, {"w": torch.ones(4)}) == {"std": 1.0, "interquartile": 1.0}
    assert compare_spread({"w": torch.arange(4.0)}, {"w": torch.ones(4)})["std"] == float("inf")


def test_of_the_adapters_of_two_models() -> None:
    """Adapters that start 0.02 wide: twice as wide in one model is a ratio of 2, whatever their sizes are."""

    def weights(size: int, factor: float) -> dict[str, nn.Parameter]:
        sizes = {"img_size": 16, "patch_size": 8, "embed_dim": size, "depth": 2, "num_heads": 2}
        adapters = attach(timm.create_model("vit_tiny_patch16_224", **sizes), BottleneckConfig(r=8, init="normal"))
        with torch.no_grad():
            for weight in adapters.weights().values():
                weight.mul_(factor)
        return adapters.weights()

    small, large = weights(64, 2.0), weights(128, 1.0)
    assert weight_spread(small).count == 2 * 2 * 64 * 8
    found = compare_spread(small, large)
    assert found["std"] == pytest.approx(2, rel=0.05)
    assert found["interquartile"] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("config", [BottleneckConfig(r=3, init="normal"), LoRAConfig(r=3, init="normal")])
def test_the_weights_of_a_model_are_those_of_its_adapters(config: BottleneckConfig | LoRAConfig) -> None:
    sizes = {"img_size": 16, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", **sizes)
    assert adapter_weights(model) == {}
    adapters = attach(model, config)
    assert {id(weight) for weight in adapters.weights().values()} == {id(w) for w in adapter_weights(model).values()}


def test_weights_that_have_no_spread_to_speak_of() -> None:
    with pytest.raises(ModelError, match="b has weights that are NaN"):
        weight_spread({"a": torch.ones(2), "b": torch.tensor([float("nan")])})
    with pytest.raises(ModelError, match="fewer than two weights"):
        weight_spread({"a": torch.ones(1)})
