"""FDConv as a row: it trains by the recipe of convolutional networks, and says where it cannot be."""

import pytest

from sparsebench.models.dynamic.convolution.fd_conv import FDConv2d
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.methods.dynamic.fd_conv import FDConv
from sparsebench.suites.vtab.backbones import tiny_cnn

from ..setups import images, moved


def test_all_of_it_trains_by_sgd_on_shifted_images() -> None:
    setup = images(tiny_cnn.load)
    method = FDConv(groups=4, optimizer="sgd", augment=True, learning_rate=0.1, weight_decay=5e-4)
    names = moved(method, setup)
    assert any(isinstance(module, FDConv2d) for module in setup.model.modules())
    still = {name for name, _ in setup.model.named_parameters()} - names
    last = "body.network.layer4.0.conv2.bands.maps."
    assert still == {f"{last}weight", f"{last}bias"}, "a map of one position has one frequency, 0, and no other band"


def test_what_it_refuses() -> None:
    setup = images()
    with pytest.raises(NotApplicable, match="nothing to make dynamic"):
        FDConv().prepare(setup.model, setup.context)
    with pytest.raises(ValueError, match="groups=0"):
        FDConv(groups=0)
