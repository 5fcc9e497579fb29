"""How much attached losses count, and that it is put back."""

import pytest

from sparsebench.models.loss_scale import loss_scale, scaled_losses, set_loss_scale


def test_the_scale_is_put_back() -> None:
    with pytest.raises(ZeroDivisionError), scaled_losses(0.25):
        assert loss_scale() == 0.25
        raise ZeroDivisionError
    assert loss_scale() == 1
    set_loss_scale(2)
    assert loss_scale() == 2
    set_loss_scale(1)
