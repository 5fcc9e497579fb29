"""What a router is made of."""

import torch

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.routing.router import LinearRouter, MLPRouter
from sparsebench.models.moe.routing.start import STD, Neurons, RouterStart, drawn


def given(init: str, router: str = "linear") -> RouterStart:
    generator = torch.Generator().manual_seed(0)
    like = torch.zeros(1, dtype=torch.bfloat16)

    def neurons() -> Neurons:
        raise AssertionError("these routers start from no neurons")

    return RouterStart(
        config=MoEConfig(num_experts=8, router=router),
        init=init,
        width=5,
        like=like,
        generator=generator,
        make_rows=lambda: torch.arange(40.0).view(8, 5),
        neurons=neurons,
    )


def test_rows_and_draws_have_the_dtype_of_the_layer() -> None:
    start = given("random")
    assert torch.equal(start.rows(), torch.arange(40).view(8, 5).bfloat16())
    expected = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)) * STD
    assert torch.equal(start.random(3, 2), expected.bfloat16())
    assert torch.equal(drawn(3, 2, torch.Generator().manual_seed(0)), expected)


def test_a_linear_router_takes_the_rows_and_an_mlp_draws_its_output_first() -> None:
    assert torch.equal(LinearRouter.start(given("energy")).weight, given("energy").rows())
    drawn_twice = torch.Generator().manual_seed(0)
    output, hidden = drawn(8, 8, drawn_twice).bfloat16(), drawn(8, 5, drawn_twice).bfloat16()
    router = MLPRouter.start(given("random", "mlp"))
    assert torch.equal(router.output, output) and torch.equal(router.hidden, hidden)
    assert not MLPRouter.start(given("zeros", "mlp")).output.any()
