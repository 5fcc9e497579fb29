import pytest
import torch
from timm.layers.drop import DropPath

from sparsebench.models.adapters import BinaryConfig, ConvpassConfig, StreamConfig
from sparsebench.models.adapters.dropping import DropSamples, rising
from sparsebench.models.errors import ModelError


def test_samples_are_dropped_as_timm_drops_them() -> None:
    x = torch.randn(40, 3, 2, dtype=torch.float64)
    torch.manual_seed(4)
    found = DropSamples(0.3).train()(x)
    torch.manual_seed(4)
    assert torch.equal(found, DropPath(0.3).train()(x))
    kept = (found != 0).flatten(1)
    assert 10 < int(kept[:, 0].sum()) < 40 and bool((kept.all(1) | ~kept.any(1)).all())
    assert DropSamples(0.3).eval()(x) is x and DropSamples(0.0).train()(x) is x


def test_rates_rise_from_0_at_the_first_block() -> None:
    assert [rising(0.3, index, 4) for index in range(4)] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert rising(0.3, 0, 1) == 0


@pytest.mark.parametrize("kind", [StreamConfig, ConvpassConfig, BinaryConfig])
def test_a_rate_is_a_rate(kind: type) -> None:
    with pytest.raises(ModelError, match="dropout=1 is a rate: from 0 to below 1"):
        kind(dropout=1)
    if kind is not BinaryConfig:
        with pytest.raises(ModelError, match=r"drop_path=-0\.1 is a rate"):
            kind(drop_path=-0.1)
