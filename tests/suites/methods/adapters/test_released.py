"""Each row of a published adapter as its release has it: in training, on the same random numbers, in plain formulas.

The formulas are written from the papers and what the releases do in training; they share nothing with the library but
the frozen ViT. Dropout and drop path draw in the order of the releases.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from sparsebench.data.vision.vtab1k.tasks import GROUPS
from sparsebench.models.adapters import adapter_sets
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.methods.adapters.adapter_plus import AdapterPlus
from sparsebench.suites.methods.adapters.adaptformer import AdaptFormer
from sparsebench.suites.methods.adapters.bi_adaptformer import BiAdaptFormer
from sparsebench.suites.methods.adapters.convpass import Convpass
from sparsebench.suites.methods.adapters.fact import FacT
from sparsebench.suites.methods.adapters.rep_adapter import RepAdapter
from sparsebench.suites.methods.adapters.ssf import SSF
from sparsebench.suites.methods.adapters.vpt_deep import VPTDeep
from sparsebench.suites.methods.adapters.vpt_shallow import VPTShallow
from sparsebench.suites.methods.pair.idat import InverseDistillationTuning
from sparsebench.suites.methods.pair.label_smoothing import LabelSmoothing
from sparsebench.suites.methods.shared._released import DATA_SETS, SETTINGS, released_settings
from sparsebench.suites.vtab.tasks.synthetic import Blobs
from sparsebench.suites.vtab.tasks.vtab1k import VTAB1K
from sparsebench.suites.vtab.tasks.vtab1k_published import PublishedVTAB1K

from ...reasons import reason

# Shapes: B images, T tokens, D width, G x G patches.

WIDTH, HEADS, DEPTH, SIDE = 12, 3, 3, 4
RATES = (0.0, 0.05, 0.1)
"""Drop path 0.1 by block: a straight line from 0."""
Values = dict[str, Tensor]
"""What was attached to one place, by name."""


def network() -> Any:
    sizes: dict[str, Any] = {"img_size": 8, "patch_size": 2, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS}
    torch.manual_seed(0)
    model = VisionTransformer(**sizes, num_classes=5, mlp_ratio=4.0).double().eval()
    for parameter in model.parameters():  # norms and biases that do something
        parameter.data += 0.1 * torch.randn(parameter.shape, dtype=torch.float64)
    return model


def prepared(method: Any) -> nn.Module:
    """In training mode, with adapters that are not as they start."""
    model = method.prepare(network(), Context(suite="vtab", task="t", seed=0)).train()
    generator = torch.Generator().manual_seed(3)
    (adapters,) = adapter_sets(model).values()
    for parameter in adapters.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = parameter.data.double() + 0.3 * noise
    return model


def attached(model: nn.Module) -> dict[str, Values]:
    (adapters,) = adapter_sets(model).values()
    return {place: dict(layer.adapter_parameters()) for place, layer in adapters.layers()}


def path(x: Tensor, rate: float) -> Tensor:
    """Drop path: a number a sample."""
    if rate == 0:
        return x
    return x * torch.empty(len(x), 1, 1, dtype=x.dtype).bernoulli_(1 - rate) / (1 - rate)


def attention(qkv_BTD: Tensor) -> Tensor:
    """What the heads give, before the projection."""
    q, k, v = qkv_BTD.unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
    weights = torch.softmax(q @ k.mT / (WIDTH // HEADS) ** 0.5, -1)
    return (weights @ v).transpose(1, 2).flatten(2)


def attended(block: Any, z: Tensor) -> Tensor:
    return block.attn.proj(attention(block.attn.qkv(z)))


def ffn(block: Any, z: Tensor) -> Tensor:
    return block.mlp.fc2(F.gelu(block.mlp.fc1(z)))


def plain(block: Any, x: Tensor, rate: float) -> Tensor:
    x = x + path(attended(block, block.norm1(x)), rate)
    return x + path(ffn(block, block.norm2(x)), rate)


def logits(model: Any, images: Tensor, blocks: Callable[[Any, Tensor, int], Tensor]) -> Tensor:
    """The ViT with another function for each of its blocks."""
    patches = model.patch_embed.proj(images).flatten(2).mT
    x = torch.cat([model.cls_token.expand(len(images), -1, -1), patches], 1) + model.pos_embed
    for number, block in enumerate(model.blocks):
        x = blocks(block, x, number)
    return model.head(model.norm(x)[:, 0])


def linear(values: Values, name: str, x: Tensor) -> Tensor:
    return F.linear(x, values[f"{name}.weight"], values.get(f"{name}.bias"))


def adaptformer(found: dict[str, Values], block: Any, x: Tensor, number: int) -> Tensor:
    """x + FFN(LN(x)) + 0.1 up(dropout(relu(down(x)))); no drop path."""
    own = found[f"blocks.{number}"]
    x = x + attended(block, block.norm1(x))
    change = linear(own, "adapter.up", F.dropout(F.relu(linear(own, "adapter.down", x)), 0.1))
    return x + ffn(block, block.norm2(x)) + 0.1 * change


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def bypass(own: Values, z: Tensor) -> Tensor:
    """The class token is an image of one patch."""
    low = quick_gelu(linear(own, "adapter.project_in", z))
    kernel, bias = own["adapter.conv.weight"], own["adapter.conv.bias"]
    patches = F.conv2d(low[:, 1:].mT.unflatten(2, (SIDE, SIDE)), kernel, bias, padding=1).flatten(2).mT
    alone = F.conv2d(low[:, :1].mT.unflatten(2, (1, 1)), kernel, bias, padding=1).flatten(2).mT
    low = F.dropout(quick_gelu(torch.cat([alone, patches], 1)), 0.1)
    return linear(own, "adapter.project_out", low)


def convpass(found: dict[str, Values], block: Any, x: Tensor, number: int) -> Tensor:
    """Branch and bypass are dropped each for itself."""
    rate = RATES[number]
    z = block.norm1(x)
    x = x + path(attended(block, z), rate) + path(bypass(found[f"blocks.{number}.attn"], z), rate) * 10.0
    z = block.norm2(x)
    return x + path(ffn(block, z), rate) + path(bypass(found[f"blocks.{number}.mlp"], z), rate) * 10.0


def fact(found: dict[str, Values], block: Any, x: Tensor, number: int) -> Tensor:
    """s V dropout(C U x) for each tile of D x D of a matrix, U and V those of the whole model."""

    def update(name: str, x: Tensor) -> Tensor:
        own, shared = found[f"blocks.{number}.{name}"], found["blocks.0.attn.qkv"]
        low = F.linear(x.unflatten(-1, (-1, WIDTH)), shared["u.weight"]).flatten(-2)
        low = F.dropout(F.linear(low, own["core.weight"]), 0.1)
        return 100.0 * F.linear(low.unflatten(-1, (-1, 4)), shared["v.weight"]).flatten(-2)

    rate = RATES[number]
    z = block.norm1(x)
    mixed = attention(block.attn.qkv(z) + update("attn.qkv", z))
    x = x + path(block.attn.proj(mixed) + update("attn.proj", mixed), rate)
    z = block.norm2(x)
    hidden = F.gelu(block.mlp.fc1(z) + update("mlp.fc1", z))
    return x + path(block.mlp.fc2(hidden) + update("mlp.fc2", hidden), rate)


def rep_adapter(found: dict[str, Values], block: Any, x: Tensor, number: int) -> Tensor:
    """f(z + s conv_B(dropout(conv_A(z)))), convolutions of one tap, conv_B in two groups."""

    def before(name: str, z: Tensor) -> Tensor:
        own = found[f"blocks.{number}.{name}"]
        weight, bias = own["adapter.project_out.weight"], own["adapter.project_out.bias"]
        low = F.dropout(linear(own, "adapter.project_in", z), 0.1)
        return z + 5.0 * F.conv1d(low.mT, weight[..., None], bias, groups=2).mT

    x = x + path(attended(block, before("attn.qkv", block.norm1(x))), RATES[number])
    return x + path(ffn(block, before("mlp.fc1", block.norm2(x))), RATES[number])


def adapter_plus(found: dict[str, Values], block: Any, x: Tensor, number: int) -> Tensor:
    """After the block; dropped at 0.1 in every block, and the branches on the line to 0.1."""
    own = found[f"blocks.{number}"]
    x = plain(block, x, RATES[number])
    change = linear(own, "adapter.up", F.gelu(linear(own, "adapter.down", x)))
    return x + path(change, 0.1) * own["scale"]


def binary(weight: Tensor) -> Tensor:
    """Two values, the quartiles of a normal distribution with the moments of the weight."""
    mean, deviation = weight.mean(), weight.std()
    return torch.where(weight > mean, 1.0, -1.0).double() * 0.6744897501960817 * deviation + mean


def bi_adaptformer(found: dict[str, Values], block: Any, x: Tensor, number: int) -> Tensor:
    own = found[f"blocks.{number}"]
    rate = RATES[number]
    x = x + path(attended(block, block.norm1(x)), rate)
    branch = path(ffn(block, block.norm2(x)), rate)
    low = F.dropout(F.relu(x @ binary(own["adapter.down.weight"]).mT), 0.1)
    return x + branch + low @ binary(own["adapter.up.weight"]).mT * 10.0


def plain_of_idat(found: dict[str, Values], block: Any, x: Tensor, number: int) -> Tensor:
    """The student alone: x + up(gelu(down(x))) after the block."""
    own = found[f"blocks.{number}"]
    x = plain(block, x, (0.0, 0.1, 0.2)[number])
    return x + linear(own, "adapter.up", F.gelu(linear(own, "adapter.down", x)))


ROWS: dict[str, tuple[Method, Callable[..., Tensor]]] = {
    "adaptformer": (AdaptFormer(rank=4), adaptformer),
    "convpass": (Convpass(rank=4, scale=10.0), convpass),
    "fact": (FacT(rank=4, scale=100.0), fact),
    "rep_adapter": (RepAdapter(rank=4, scale=5.0), rep_adapter),
    "adapter_plus": (AdapterPlus(rank=4), adapter_plus),
    "bi_adaptformer": (BiAdaptFormer(rank=4, scale=10.0), bi_adaptformer),
    "idat, the student alone": (
        LabelSmoothing(smoothing=0.0, adapter="idat_sequential", rank=4, init="normal", drop_path=0.2),
        plain_of_idat,
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_training_is_that_of_the_release(name: str) -> None:
    method, formula = ROWS[name]
    model, images = prepared(method), torch.randn(24, 3, 8, 8, dtype=torch.float64)
    found, bare = attached(model), network()
    bare.head = model.get_submodule("head")
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        out = model(images)
        torch.manual_seed(seed)
        with torch.no_grad():
            wanted = logits(bare, images, lambda block, x, number: formula(found, block, x, number))
        torch.testing.assert_close(out, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))
        results.append(out)
    assert not torch.allclose(*results), "something is random in training"


@pytest.mark.parametrize("deep", [False, True])
def test_prompts(deep: bool) -> None:
    """Dropout 0.1 on the prompts, which lie behind the class token; a block that drops nothing."""
    model = prepared(VPTDeep(length=2) if deep else VPTShallow(length=2))
    images, found, bare = torch.randn(8, 3, 8, 8, dtype=torch.float64), attached(model), network()
    bare.head = model.get_submodule("head")

    def block_with(block: Any, x: Tensor, number: int) -> Tensor:
        own = found.get(f"blocks.{number}", {})
        if "prompts" in own:
            drawn = F.dropout(own["prompts"].expand(len(x), -1, -1), 0.1)
            behind = x[:, 1 + 2 * (number > 0) :]  # each block's own take the place of those before
            x = torch.cat([x[:, :1], drawn, behind], 1)
        return plain(block, x, 0.0)

    torch.manual_seed(1)
    out = model(images)
    torch.manual_seed(1)
    torch.testing.assert_close(out, logits(bare, images, block_with))
    assert not torch.equal(out, model(images))


def test_scales_and_shifts() -> None:
    """After every matrix, convolution and norm; drop path is all that is random."""
    model = prepared(SSF(drop_path=0.1))
    images, found, bare = torch.randn(24, 3, 8, 8, dtype=torch.float64), attached(model), network()

    def scaled(place: str, y: Tensor) -> Tensor:
        return found[place]["scale"] * y + found[place]["shift"]

    torch.manual_seed(1)
    out = model(images)
    torch.manual_seed(1)
    patches = scaled("patch_embed.proj", bare.patch_embed.proj(images).flatten(2).mT)
    x = torch.cat([bare.cls_token.expand(24, -1, -1), patches], 1) + bare.pos_embed
    for number, block in enumerate(bare.blocks):
        own: Any = block
        b = f"blocks.{number}"
        z = scaled(f"{b}.norm1", own.norm1(x))
        mixed = attention(scaled(f"{b}.attn.qkv", own.attn.qkv(z)))
        x = x + path(scaled(f"{b}.attn.proj", own.attn.proj(mixed)), RATES[number])
        z = scaled(f"{b}.norm2", own.norm2(x))
        hidden = F.gelu(scaled(f"{b}.mlp.fc1", own.mlp.fc1(z)))
        x = x + path(scaled(f"{b}.mlp.fc2", own.mlp.fc2(hidden)), RATES[number])
    wanted = model.get_submodule("head")(scaled("norm", bare.norm(x))[:, 0])
    torch.testing.assert_close(out, wanted)


READ_OFF = {
    ("fact", "rank"): "8 16 8 16 8 16 8 8 8 8 8 16 4 16 16 16 16 16 8",
    ("fact", "scale"): "1 10 0.01 1 1 100 1 10 100 0.1 1 1 10 10 10 100 1 100 10",
    ("convpass", "scale"): "0.1 1 0.01 0.1 1 100 0.1 10 10 10 1 1 0.1 10 10 100 0.1 100 1",
    ("bi_adaptformer", "scale"): "0.1 10 0.01 1 0.01 10 0.1 1 1 10 1 1 0.1 1 1 1 0.1 1 1",
    ("rep_adapter", "scale"): "0.1 5 1 0.5 0.1 10 0.1 1 1 5 0.1 0.5 0.1 5 5 5 0.1 10 1",
    ("idat", "learning_rate"): (
        "5e-3 1e-3 5e-3 5e-3 5e-3 1e-2 5e-3 5e-3 3e-3 2e-3 5e-3 2e-3 5e-2 5e-3 1e-2 1e-2 5e-3 2e-2 5e-3"
    ),
    ("idat", "weight_decay"): (
        "5e-5 5e-2 5e-5 5e-5 5e-5 5e-5 5e-5 5e-5 5e-2 5e-5 5e-5 5e-2 5e-2 5e-5 5e-5 5e-5 5e-5 5e-5 5e-2"
    ),
    ("idat", "drop_path"): "0 0.1 0 0 0 0 0 0 0.2 0.1 0.2 0.1 0.1 0.1 0 0 0.2 0.1 0.2",
    ("vpt_deep", "length"): "10 10 10 1 1 50 5 100 100 10 1 100 200 100 100 100 100 200 200",
}
"""Read off the releases' files a second time, by a program, in the order of `DATA_SETS`; sources: beside the table."""
BY_TASK = (FacT, Convpass, BiAdaptFormer, RepAdapter, SSF, VPTDeep, InverseDistillationTuning, LabelSmoothing)


def test_settings_are_those_of_the_releases() -> None:
    for (release, option), values in READ_OFF.items():
        own = [released_settings(release, data_set)[option] for data_set in DATA_SETS]
        assert own == [float(value) for value in values.split()], (release, option)
    assert [name for names in GROUPS.values() for name in names] == list(DATA_SETS)
    assert SETTINGS["ssf"] == SETTINGS["idat"], "the scripts of iDAT have the numbers of SSF"
    by_xavier = [name for name in DATA_SETS if released_settings("convpass", name)["conv_init"] == "xavier"]
    assert [DATA_SETS.index(name) for name in by_xavier] == [2, 3, 4, 5, 12, 14, 15, 16, 17, 18]


@pytest.mark.parametrize("method", BY_TASK, ids=lambda method: method.__name__)
def test_a_method_takes_the_settings_of_its_release(method: Any) -> None:
    own = method(released=True)
    assert method().on("svhn") == method() and method().settled("svhn") is None
    for data_set in DATA_SETS:
        options = own.settled(data_set)
        changed = own.on(data_set)
        assert options and {name: getattr(changed, name) for name in options} == options
        assert changed.on(data_set) == changed
    assert own.on("own photographs") == own and own.settled("own photographs") is None
    assert "settings of releases" in own.needs - method().needs


def test_released_settings_are_for_vtab_alone() -> None:
    wanted = "released: true, and no release has settings for this task: VTAB-1K's have"
    assert reason(Blobs, "vtab", "tiny", FacT(released=True)) == wanted
    assert reason(VTAB1K, "vtab", "tiny", FacT(released=True)) is None
    assert VTAB1K(name="vtab1k_dtd", group="natural", classes=47).published_as == "dtd"
    assert PublishedVTAB1K(name="vtab1k_published_dtd", group="natural", classes=47).published_as == "dtd"
