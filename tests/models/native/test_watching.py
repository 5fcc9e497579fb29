import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sparsebench.models.native.watching import are_operators_watched


def test_plain_code_is_not_watched() -> None:
    assert not are_operators_watched()


@pytest.mark.parametrize("way", ["counter", "vmap", "forward mode"])
def test_who_looks_into_the_operators_is_seen(way: str) -> None:
    seen: list[bool] = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(are_operators_watched())
        return x

    if way == "counter":
        with FlopCounterMode(display=False):
            look(torch.ones(1))
    elif way == "vmap":
        torch.vmap(look)(torch.ones(2))
    else:
        with torch.autograd.forward_ad.dual_level():
            look(torch.ones(1))
    assert seen == [True]
