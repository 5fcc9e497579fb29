"""What a conversion compares with the dense layer: the cases that a view cannot see."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import OPTConfig, OPTForCausalLM
from transformers.models.opt.modeling_opt import OPTPreTrainedModel

from sparsebench.models.anatomy import MLP, Anatomy, Block, describe, register_describer, registry, see_through
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.dense_ffn import DenseFFN
from sparsebench.models.moe.conversion.verification import (
    Expected,
    check_mixture,
    check_untied,
    check_view,
    output_dropout,
)
from sparsebench.models.moe.splits import Partition

Build = Callable[[str], nn.Module]
CONFIG = MoEConfig(num_experts=4, top_k=2, num_shared=1)


def mlp_of(model: nn.Module, block: int = 1) -> MLP:
    mlp = describe(model).blocks[block].mlp
    assert mlp is not None
    return mlp


def checked(mlp: MLP) -> Expected | None:
    return check_view(mlp, DenseFFN.of(mlp))


def refused(model: nn.Module, message: str) -> None:
    modules = dict(model.named_modules())
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match=message):
        convert(model, CONFIG)
    assert dict(model.named_modules()) == modules
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_an_activation_that_the_view_forgets_is_seen(monkeypatch) -> None:
    """OPT as one would describe it at first sight: fc1 and fc2, and the block applies ReLU to what comes in between."""
    model = OPTForCausalLM(
        OPTConfig(
            hidden_size=32,
            word_embed_proj_dim=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            vocab_size=64,
        )
    )

    def obvious(model: nn.Module) -> Anatomy:
        layers = model.model.decoder.layers
        blocks = []
        for index, layer in enumerate(layers):
            up, down = see_through(layer, "fc1"), see_through(layer, "fc2")
            mlp = MLP(
                site=up,
                output=down,
                tail=down,
                kind="plain",
                up=up,
                down=down,
                activation=layer.activation_fn,
                width=32,
                hidden=48,
            )
            blocks.append(Block(index=index, site=see_through(layers, str(index)), mlp=mlp))
        return Anatomy(model=model, blocks=tuple(blocks), width=32)

    monkeypatch.setattr(registry, "_registered", [])
    register_describer(OPTPreTrainedModel, obvious)
    refused(model, r"decoder\.layers\.0\.fc1 \(Linear\) does not compute")


def test_a_forward_of_its_own_is_seen(build: Build) -> None:
    model = build("llama")

    class Doubled(type(model.model.layers[1].mlp)):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    model.model.layers[1].mlp.__class__ = Doubled
    refused(model, r"layers\.1\.mlp \(Doubled\) does not compute what its linear layers and activation say")


@pytest.mark.parametrize("place", ["up_proj", "down_proj", ""])
def test_a_hook_is_seen(place: str, build: Build) -> None:
    model = build("llama")
    module = model.model.layers[1].mlp.get_submodule(place)
    module.register_forward_hook(lambda module, args, output: output + 0.1)
    refused(model, r"layers\.1\.mlp \(\w+\) does not compute")


def test_a_hook_that_only_looks_is_no_obstacle(build: Build) -> None:
    model = build("llama")
    model.model.layers[1].mlp.up_proj.register_forward_hook(lambda module, args, output: None)
    convert(model, CONFIG)


def test_tied_layers_are_not_untied(build: Build) -> None:
    model = build("llama")
    model.model.layers[1].mlp = model.model.layers[0].mlp
    refused(model, r"mlp\.gate_proj shares its weight \(model\.layers\.0\.\S+ and model\.layers\.1")
    model = build("llama")
    model.model.layers[1].mlp.up_proj.weight = model.model.layers[0].mlp.up_proj.weight
    refused(model, "up_proj shares its weight")
    check_untied(model, [])


def test_a_forward_of_another_signature_is_named(build: Build) -> None:
    model = build("llama")
    module = model.model.layers[1].mlp
    module.forward = lambda x, y: x
    with pytest.raises(ModelError, match=r"layers\.1\.mlp cannot be called with one tensor \(1, 4, 32\)"):
        checked(mlp_of(model))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llama", "bert", "vit", "timm_vit"])
def test_rounding_is_no_difference_and_a_per_cent_is(name: str, dtype: torch.dtype, build: Build) -> None:
    """The tolerance follows the arithmetic: what the dtype cannot tell is allowed, in wide layers too, no more."""
    model = build(name).to(dtype)
    mlp = mlp_of(model)
    checked(mlp)
    last = mlp.parts[-1].get()
    wrong = 1 + max(1e-2, 64 * torch.finfo(dtype).eps)
    last.register_forward_hook(lambda module, args, output: output * wrong)
    with pytest.raises(ModelError, match="does not compute"):
        checked(mlp)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("outlier", [1.0, 300.0])
def test_wide_layers_pass(dtype: torch.dtype, outlier: float) -> None:
    """Sums in another order, with weights of very unequal size, as trained models have them."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaMLP

    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=768, intermediate_size=2048)
    module = LlamaMLP(config)
    with torch.no_grad():
        module.up_proj.weight[7] *= outlier
        module.down_proj.weight[:, 7] *= outlier

    class Halves(type(module)):
        """The same sum in two halves."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = self.act_fn(self.gate_proj(x)) * self.up_proj(x)
            first, second = hidden.chunk(2, -1)
            weight, other = self.down_proj.weight.chunk(2, 1)
            return nn.functional.linear(first, weight) + nn.functional.linear(second, other)

    module.__class__ = Halves
    parent = nn.Module()
    parent.mlp = module.to(dtype)
    site = see_through(parent, "mlp")
    mlp = MLP(
        site=site,
        output=site,
        kind="gated",
        gate=see_through(module, "gate_proj"),
        up=see_through(module, "up_proj"),
        down=see_through(module, "down_proj"),
        activation=module.act_fn,
        width=768,
        hidden=2048,
    )
    checked(mlp)
    with pytest.raises(ModelError, match="does not compute"):
        checked(replace(mlp, activation=nn.functional.gelu))


def test_where_dropout_acts(build: Build) -> None:
    model = build("llama").train()
    mlp = mlp_of(model)
    state = torch.get_rng_state()
    assert output_dropout(mlp) == 0
    module = mlp.site.get()
    for act, down, expected in (
        (nn.SiLU(), nn.Sequential(module.down_proj, nn.Dropout(0.3)), 0.3),
        (nn.Sequential(nn.SiLU(), nn.Dropout(0.3)), module.down_proj, None),
        (nn.Sequential(nn.SiLU(), nn.Dropout(0.3)), nn.Sequential(module.down_proj, nn.Dropout(0.3)), None),
        (nn.Sequential(nn.SiLU(), nn.Dropout(0.3)), nn.Sequential(module.down_proj, nn.Dropout(0.2)), None),
    ):
        module.act_fn, module.down_proj = act, down
        assert output_dropout(mlp) == expected
        module.down_proj = down[0] if isinstance(down, nn.Sequential) else down
    assert output_dropout(mlp_of(model.to("meta"))) is None
    assert all(part.training for part in module.modules()) and torch.equal(torch.get_rng_state(), state)


def test_experts_that_do_not_add_up_are_seen(build: Build) -> None:
    expected = checked(mlp_of(build("llama")))
    model = convert(build("llama"), CONFIG)
    layer = model.model.layers[1].mlp
    order = layer.neurons
    parts = Partition(shared=order[: layer.shared.sizes[0]], experts=tuple(order[layer.shared.sizes[0] :].split(12)))
    check_mixture(layer, expected, parts, "here")
    with torch.no_grad():
        layer.experts.down[1, 3] += 0.1
    with pytest.raises(ModelError, match="here: the experts do not add up"):
        check_mixture(layer, expected, parts, "here")
    # Without some neurons there is nothing to compare with.
    check_mixture(layer, expected, Partition(shared=order[:1], experts=()), "here")


def test_a_model_without_weights_is_not_compared() -> None:
    with torch.device("meta"):
        layer = nn.Linear(4, 4)
    parent = nn.Module()
    parent.up, parent.down = layer, nn.Linear(4, 4, device="meta")
    up, down = see_through(parent, "up"), see_through(parent, "down")
    checked(
        MLP(site=up, output=down, tail=down, kind="plain", up=up, down=down, activation=nn.ReLU(), width=4, hidden=4)
    )
