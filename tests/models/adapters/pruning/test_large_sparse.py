from collections.abc import Callable

import pytest
from torch import nn

from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.pruning.large_sparse import LargeSparse
from sparsebench.models.adapters.pruning.sparsify import sparsify
from sparsebench.models.errors import ModelError

from ..pruning_tools import evidence

Build = Callable[[str], nn.Module]


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("method", ["snip", "synflow", "erk"])
def test_large_sparse_has_the_budget_of_the_dense_adapter(
    factor: int, method: str, build: Build, example: Callable
) -> None:
    plan, config = LargeSparse(base_r=4, factor=factor), BottleneckConfig(r=4, init="normal")
    dense, sparse = attach(build("bert"), config), attach(build("bert"), plan.widen(config))
    with pytest.raises(ValueError, match="unequal budgets"):
        plan.verify(dense, sparse)
    sparsify(sparse, method=method, sparsity=plan.sparsity, **evidence(sparse, example))
    budget = plan.verify(dense, sparse)
    assert budget.weights == 2 * 2 * 32 * 4
    assert (budget.dense_others, budget.sparse_others) == (2 * (4 + 32), 2 * (4 * factor + 32))


def test_width_and_sparsity() -> None:
    plan = LargeSparse(base_r=6, factor=4)
    assert (plan.r, plan.sparsity) == (24, 0.75)
    assert plan.widen(BottleneckConfig(r=6, placement="houlsby")) == BottleneckConfig(r=24, placement="houlsby")
    assert LargeSparse(base_r=6, factor=1).sparsity == 0


@pytest.mark.parametrize("fields", [{"base_r": 0, "factor": 2}, {"base_r": 4, "factor": 1.5}])
def test_bad_plans(fields: dict) -> None:
    with pytest.raises(ModelError, match="must be a whole number, at least 1"):
        LargeSparse(**fields)
