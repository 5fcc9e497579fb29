import pytest
import torch

from sparsebench.models.dynamic import DynamicLayer
from sparsebench.models.errors import ModelError

BANK = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
SHARES = torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])


def test_weights_of_samples_are_shares_of_the_kernels() -> None:
    layer = DynamicLayer(BANK, torch.arange(12.0).view(3, 4))
    expected = 0.5 * BANK[0] + 0.25 * BANK[1] + 0.25 * BANK[2]
    mixed = layer.sample_weights(SHARES)
    torch.testing.assert_close(mixed[0], expected)
    torch.testing.assert_close(mixed[1], BANK[2])
    bias = layer.sample_biases(SHARES)
    assert bias is not None and bias[1].tolist() == [8, 9, 10, 11]
    assert DynamicLayer(BANK).sample_biases(SHARES) is None
    assert layer.dynamic_part() is layer.bank and layer.static_part() is None
    assert (layer.dynamic_parameters(), layer.static_parameters()) == (24, 0)


def test_partition_mixes_both_modes() -> None:
    """One mask for all kernels; π @ (λ_d M ⊙ bank) + λ_s (1 - M) ⊙ static is the same as the mix of the whole."""
    layer = DynamicLayer(BANK)
    mask = torch.arange(8).view(4, 2) % 3 == 0
    layer.set_partition(mask, torch.ones(4, 2))
    assert layer.partition is not None and layer.partition.mask.shape == layer.weight_shape
    with torch.no_grad():
        layer.partition.phi.fill_(0.7)
    static = layer.static_part()
    assert static is not None
    apart = torch.einsum("bk,koi->boi", SHARES, layer.dynamic_part()) + static
    torch.testing.assert_close(layer.sample_weights(SHARES), apart)
    assert (layer.dynamic_parameters(), layer.static_parameters()) == (9, 5)


def test_all_dynamic_is_the_layer_without_partition() -> None:
    layer = DynamicLayer(BANK)
    before = layer.sample_weights(SHARES)
    layer.set_partition()
    assert torch.equal(layer.sample_weights(SHARES), before)
    assert layer.partition is not None and layer.partition.ratio == 1
    torch.testing.assert_close(layer.partition.static.data, BANK.mean(0))


def test_pruned_layers_have_no_static_part() -> None:
    layer = DynamicLayer(BANK)
    layer.set_partition(torch.zeros(4, 2) == 1, scale="pruned")
    assert layer.static_part() is None and layer.static_parameters() == 0
    assert layer.sample_weights(SHARES).abs().max() == 0


def test_what_cannot_be_a_layer() -> None:
    with pytest.raises(ModelError, match=r"\(kernels, outputs, inputs, \.\.\.\), not \(3, 4\)"):
        DynamicLayer(BANK[..., 0])
    with pytest.raises(ModelError, match=r"bias \(4,\) for a bank of \(3, 4, 2\)"):
        DynamicLayer(BANK, torch.zeros(4))
    layer = DynamicLayer(BANK)
    with pytest.raises(ModelError, match=r"static weight \(2, 2\) for a weight of \(4, 2\)"):
        layer.set_partition(static=torch.zeros(2, 2))
    with pytest.raises(ModelError, match=r"mask \(4, 1\)"):
        layer.set_partition(torch.ones(4, 1) == 1)
    assert layer.partition is None
