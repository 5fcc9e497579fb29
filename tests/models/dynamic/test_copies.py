import torch

from sparsebench.models.dynamic import DynamicConfig
from sparsebench.models.dynamic.copies import copied_bank, copied_bias

WEIGHT = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))


def test_copies_are_equal_unless_noise_is_added() -> None:
    bank = copied_bank(WEIGHT, DynamicConfig(num_kernels=3), torch.Generator())
    assert bank.shape == (3, 5, 40) and all(torch.equal(kernel, WEIGHT) for kernel in bank)
    bias = copied_bias(WEIGHT[:, 0], DynamicConfig(num_kernels=3))
    assert bias is not None and torch.equal(bias[2], WEIGHT[:, 0])
    assert copied_bias(None, DynamicConfig()) is None


def test_noise_is_a_fraction_of_the_weights_spread() -> None:
    config = DynamicConfig(num_kernels=3, noise=0.1)
    first = copied_bank(WEIGHT, config, torch.Generator().manual_seed(0))
    again = copied_bank(WEIGHT, config, torch.Generator().manual_seed(0))
    assert torch.equal(first, again) and not torch.equal(first[0], first[1])
    assert 0.08 < ((first - WEIGHT).std() / WEIGHT.std()).item() < 0.12
