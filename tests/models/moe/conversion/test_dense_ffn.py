from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.models.moe.conversion.dense_ffn import DenseFFN

Build = Callable[[str], nn.Module]


@pytest.mark.parametrize("name", ["llama", "bert", "timm_vit"])
def test_the_matrices_compute_what_the_modules_do(name: str, build: Build, example: Callable) -> None:
    model = build(name)
    seen = calibrate(model, [example(model)])
    mlp = describe(model).blocks[1].mlp
    assert mlp is not None and mlp.down is not None
    dense = DenseFFN.of(mlp)
    sample = seen.samples[1]
    up_TF = nn.functional.linear(sample.x, dense.up, dense.up_bias)
    if dense.gate is None:
        h_TF = dense.activation(up_TF)
    else:
        h_TF = dense.activation(nn.functional.linear(sample.x, dense.gate, dense.gate_bias)) * up_TF
    torch.testing.assert_close(h_TF, sample.h)
    torch.testing.assert_close(dense.output(sample.h), mlp.down.get()(sample.h))
    assert dense.up is mlp.up.get().weight  # no copy
    torch.testing.assert_close(dense.down_norm, dense.down.square().sum(0).sqrt())


@torch.no_grad()
def test_a_bank_of_groups_is_the_dense_layer(build: Build, example: Callable) -> None:
    model = build("bert")
    x_TD = calibrate(model, [example(model)]).samples[0].x
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None
    dense = DenseFFN.of(mlp)
    bank = dense.bank(torch.randperm(50, generator=torch.Generator().manual_seed(0)).split([20, 18, 12]))
    assert bank.sizes == (20, 18, 12) and dense.down_bias is not None
    h_TF = dense.activation(nn.functional.linear(x_TD, dense.up, dense.up_bias))
    torch.testing.assert_close(bank(x_TD) + dense.down_bias, dense.output(h_TF))
