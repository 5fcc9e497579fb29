import pytest
import torch

from sparsebench.models.dynamic.convolution import ConvConfig, DCDConv2d

from .reference import SHAPES, convolved, dynamic, images, largest_difference, plain, random_mask, shaken, used


def by_entries(layer: DCDConv2d, x: torch.Tensor, place: int) -> torch.Tensor:
    """W(x) = Λ W_0 + P Φ Q^T at the middle tap, entry by entry."""
    scale, phi = layer.coefficients(x)
    weight = layer.bank[0].clone()
    for output in range(weight.shape[0]):
        weight[output] *= scale[place, output]
        for inp in range(weight.shape[1]):
            low_rank = layer.p_OL[output] @ phi[place] @ layer.q_JL[inp]
            weight[output, inp, layer.middle[0], layer.middle[1]] += low_rank
    return used(layer, weight)


@pytest.mark.parametrize("shape", SHAPES)
def test_copies_of_a_convolution_compute_what_it_does(shape: str) -> None:
    conv, x = plain(shape), images()
    layer = DCDConv2d.of(conv, ConvConfig(kind="dcd"), torch.Generator().manual_seed(0)).double()
    assert largest_difference(layer(x), conv(x)) < 1e-12


def test_against_the_reference(subtests: pytest.Subtests) -> None:
    for shape in SHAPES:
        for structure in [None, "row", "weight", "static"]:
            with subtests.test(shape=shape, structure=structure):
                layer, x, conv = dynamic(shape, "dcd"), images(), plain(shape)
                assert isinstance(layer, DCDConv2d)
                if structure is not None:
                    layer.set_partition(random_mask(layer, structure))
                    shaken(layer)
                bias = None if layer.bias is None else layer.bias[0]
                expected = torch.stack([convolved(conv, x[i], by_entries(layer, x, i), bias) for i in range(3)])
                assert largest_difference(layer(x), expected) < 1e-12
                assert (layer(x)[0] - layer(x[:1])[0]).abs().max() < 1e-12, "samples do not see each other"


def test_size_of_the_latent_matrix() -> None:
    """L² <= C: 7 latent channels of 60."""
    layer = DCDConv2d.of(torch.nn.Conv2d(60, 8, 1), ConvConfig(kind="dcd"), torch.Generator())
    assert layer.latent == 7 and layer.to_phi.out_features == 49 and layer.p_OL.shape == (8, 7)
    assert layer.num_kernels == 1
