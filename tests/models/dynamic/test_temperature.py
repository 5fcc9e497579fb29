from typing import Any

import pytest
import timm
import torch

from sparsebench.models.dynamic import ConvConfig, TemperatureSchedule, anneal, make_dynamic
from sparsebench.models.errors import ModelError


def network(**options: Any) -> Any:
    return make_dynamic(timm.create_model("resnet10t", num_classes=3), ConvConfig(**options))


def test_straight_line_then_constant() -> None:
    schedule = TemperatureSchedule(steps=29)
    assert [schedule.at(step) for step in (0, 1, 28, 29, 1000)] == [30, 29, 2, 1, 1]
    assert TemperatureSchedule(steps=0).at(0) == 1


def test_a_checkpoint_brings_the_temperature_back() -> None:
    """The released layers keep it outside of the weights: loaded, they go on with the value of the constructor."""
    trained = network().eval()
    TemperatureSchedule(steps=10).apply(trained, 10)
    loaded = network().eval()
    loaded.load_state_dict(trained.state_dict())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    temperatures = {value.item() for name, value in loaded.named_buffers() if name.endswith("temperature")}
    assert temperatures == {1.0}
    torch.testing.assert_close(loaded(x), trained(x), rtol=0, atol=0)


def test_all_attentions_are_set() -> None:
    assert anneal(network(), 7) == 11, "every convolution but those of the stem"


def test_what_has_no_temperature() -> None:
    with pytest.raises(ModelError, match="has no attention with a temperature"):
        anneal(network(kind="cond_conv"), 1)
    with pytest.raises(ModelError, match="temperature=0: logits are divided by it"):
        anneal(network(), 0)
    with pytest.raises(ModelError, match="steps=-1"):
        TemperatureSchedule(steps=-1)
    with pytest.raises(ModelError, match="end=0"):
        TemperatureSchedule(steps=1, end=0)
