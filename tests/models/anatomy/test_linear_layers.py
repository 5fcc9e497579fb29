import pytest
import torch
from torch import nn
from torch_geometric.nn import Linear as GraphLinear
from transformers.pytorch_utils import Conv1D

from sparsebench.models.anatomy.linear_layers import has_linear_view, is_linear, is_transposed_linear, linear_view
from sparsebench.models.errors import ModelError


@pytest.mark.parametrize(
    "module", [nn.Linear(3, 5), nn.Linear(3, 5, bias=False), Conv1D(5, 3), GraphLinear(3, 5), GraphLinear(3, 5, False)]
)
def test_the_view_computes_what_the_module_does(module: nn.Module) -> None:
    x = torch.randn(4, 3)
    torch.testing.assert_close(nn.functional.linear(x, *linear_view(module)), module(x))


@pytest.mark.parametrize("module", [nn.Linear(3, 5), Conv1D(5, 3), GraphLinear(3, 5)])
@torch.no_grad()
def test_writing_goes_through(module: nn.Module) -> None:
    weight = torch.randn(5, 3)
    linear_view(module).weight.copy_(weight)
    linear_view(module).bias.zero_()
    torch.testing.assert_close(module(torch.eye(3)), weight.t())


def test_a_layer_that_waits_for_its_inputs_is_none_until_it_has_them() -> None:
    lazy = GraphLinear(-1, 5)
    assert not has_linear_view(lazy)
    lazy(torch.ones(1, 3))
    assert has_linear_view(lazy) and not has_linear_view(nn.LazyLinear(5))


def test_other_modules_are_refused_by_name() -> None:
    class Mine(nn.Linear):
        pass

    assert (
        is_linear(nn.Linear(1, 1)) and not is_transposed_linear(nn.Linear(1, 1)) and is_transposed_linear(Conv1D(1, 1))
    )
    for module in (Mine(2, 2), nn.Conv2d(2, 2, 1), nn.Identity()):
        assert not has_linear_view(module)
        with pytest.raises(ModelError, match=rf"a\.b is a {type(module).__name__}: pruning needs a plain nn.Linear"):
            linear_view(module, "a.b", "pruning")
