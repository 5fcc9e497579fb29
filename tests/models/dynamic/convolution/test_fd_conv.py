import pytest
import timm
import torch
from torch import nn

from sparsebench.models.dynamic import ConvConfig, make_dynamic
from sparsebench.models.dynamic.convolution.fd_conv import FDConv2d, FrequencyConfig
from sparsebench.models.errors import ModelError

from .reference import SHAPES, convolved, images, largest_difference, network, pictures, plain, shaken

OF_ONE_GROUP = [name for name, options in SHAPES.items() if "groups" not in options]


def layer(shape: str, groups: int = 5) -> FDConv2d:
    return FDConv2d(plain(shape), FrequencyConfig(groups=groups), torch.Generator()).double().eval()


def test_against_the_reference(subtests: pytest.Subtests) -> None:
    """y = f ⊙ ((e ⊙ t ⊙ Σ_g π_g W_g) * (c ⊙ bands of x)) + bias, image by image; at first the static convolution."""
    for shape in OF_ONE_GROUP:
        with subtests.test(shape=shape):
            made, x, conv = layer(shape), images(), plain(shape)
            assert largest_difference(made(x), conv(x)) < 1e-12
            shaken(made)
            mean = x.mean((2, 3))
            factors = made.modulation(mean)
            entries = made.entries(mean)
            height, width = made.kernel_size
            parts = made.parts().unflatten(2, (height, width)).permute(0, 1, 4, 2, 3)
            maps = x if made.bands is None else made.bands(x)
            results = []
            for place in range(len(x)):
                weight = torch.einsum("g,goihw->oihw", factors.groups[place], parts)
                weight = weight * entries[place].unflatten(1, (height, width)).permute(0, 3, 1, 2)
                if factors.taps is not None:
                    weight = weight * factors.taps[place].view(height, width)
                y = convolved(conv, maps[place] * factors.inputs[place].view(-1, 1, 1), weight, None)
                assert made.bias is not None
                results.append(y * factors.outputs[place].view(-1, 1, 1) + made.bias[:, None, None])
            assert largest_difference(made(x), torch.stack(results)) < 1e-12


def test_parts_sum_up_to_the_kernel_and_both_ways_to_weigh_them_agree() -> None:
    made = layer("plain")
    parts = made.parts()
    assert parts.shape == (5, 8, 9, 6)
    torch.testing.assert_close(parts.sum(0).unflatten(1, (3, 3)).permute(0, 3, 1, 2), made.weight.detach())
    fractions = torch.rand(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(made.weighed(fractions)[:3], made.weighed(fractions[:3]))


def test_a_network_starts_as_what_it_was() -> None:
    torch.testing.assert_close(
        make_dynamic(network(), FrequencyConfig(groups=8))(pictures()), network()(pictures()), rtol=1e-3, atol=1e-4
    )


def test_every_number_trains() -> None:
    made = layer("plain").train()
    shaken(made)
    made(images()).square().sum().backward()
    assert not [name for name, value in made.named_parameters() if value.grad is None or not value.grad.any()]


def test_numbers_of_resnet_50_are_those_that_are_published() -> None:
    """+3.6 M; DY-Conv has +75.3 M there: a twentieth. Shortcuts stay as they are, as in the released network."""
    with torch.device("meta"):
        model = timm.create_model("resnet50")
    before = sum(parameter.numel() for parameter in model.parameters())
    sites = [module for name, module in model.named_modules() if isinstance(module, nn.Conv2d) and "layer" in name]
    added = 0
    for conv in sites:
        if conv not in {block.downsample[0] for block in model.modules() if getattr(block, "downsample", None)}:
            with torch.device("meta"):
                made = FDConv2d(conv, FrequencyConfig(), None)  # type: ignore[arg-type]
            added += sum(parameter.numel() for parameter in made.parameters()) - conv.weight.numel()
    assert before == 25_557_032
    assert round(added / 1e6, 1) == 3.6


def test_no_images() -> None:
    made, x = layer("plain"), images()
    y = made(x[:0].requires_grad_())
    assert y.shape == (0, *made(x).shape[1:])
    y.sum().backward()
    assert torch.equal(made.weight.grad, torch.zeros_like(made.weight))


def test_what_cannot_be() -> None:
    with pytest.raises(ModelError, match="groups=0"):
        FrequencyConfig(groups=0)
    with pytest.raises(ModelError, match="not `num_kernels` or `noise`"):
        FrequencyConfig(noise=1.0)
    with pytest.raises(ModelError, match="2 groups of channels"):
        layer("groups")
    with pytest.raises(ModelError, match="48 numbers, too few for groups=64"):
        layer("pointwise", groups=64)
    with pytest.raises(ModelError, match=r"takes \(batch, 6, h, w\)"):
        layer("plain")(images(channels=5))
    with pytest.raises(ModelError, match="at least 2 images"):
        layer("plain").train()(images(batch=1))
    with pytest.raises(ModelError, match=r"only an nn\.Conv2d"):
        make_dynamic(make_dynamic(network(), ConvConfig()), FrequencyConfig())
    with pytest.raises(ModelError, match=r"is a FDConv2d: only an nn\.Conv2d"):
        make_dynamic(make_dynamic(network("test_resnet"), FrequencyConfig(groups=4)), ConvConfig())
    with pytest.raises(ModelError, match="nothing to make dynamic"):
        make_dynamic(timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2), FrequencyConfig())
