"""Models as one graph each: compiled with `fullgraph=True`, exported for any batch, and in onnxruntime."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models import load, save
from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.dynamic import ConvConfig, MixtureConfig, compact, make_dynamic, partition
from sparsebench.models.loss_scale import scaled_losses
from sparsebench.models.moe import MoEConfig, aux_loss, convert, register_experts, update_biases
from sparsebench.models.moe.hf_trainer.loss_hook import add_balance_loss

from .agreement import agree

SMALL: dict[str, Any] = {
    "vocab_size": 99,
    "num_hidden_layers": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "use_cache": False,
    "max_position_embeddings": 64,
}
BATCH = torch.export.Dim("batch", min=1, max=64)


@pytest.fixture(autouse=True)
def no_graphs() -> None:
    """Graphs of other tests count against the limit of one function's."""
    torch._dynamo.reset()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def mixtral() -> nn.Module:
    """Stock, with our experts."""
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    model = transformers.MixtralForCausalLM(transformers.MixtralConfig(**SMALL, **sizes, num_local_experts=4))
    model.set_experts_implementation(register_experts())
    return model


def llama(layers: int = 2) -> Any:
    """In the proportions of SmolLM2."""
    sizes: dict[str, Any] = {
        "hidden_size": 72,
        "intermediate_size": 192,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    }
    fields: dict[str, Any] = SMALL | sizes | {"num_hidden_layers": layers}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields, tie_word_embeddings=True))


def smollm2() -> nn.Module:
    """Converted, with a shared block."""
    return convert(llama(), MoEConfig(num_experts=8, num_shared=2, top_k=2))


def lora_vit() -> nn.Module:
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=3)
    adapters = attach(model, LoRAConfig(r=4))
    for parameter in adapters.parameters():
        nn.init.normal_(parameter, std=0.05, generator=generator())
    return model


def plain_net() -> nn.Module:
    block: Any = timm.models.resnet.BasicBlock
    return timm.models.resnet.ResNet(block, (1, 1, 1, 1), channels=(4, 6, 8, 8), num_classes=3)


def pad_net(kind: str, granularity: str, *, deployed: bool) -> nn.Module:
    model = plain_net()
    make_dynamic(model, ConvConfig(kind=kind, num_kernels=3, noise=0.5))  # pyright: ignore[reportArgumentType]
    options: Any = {"criterion": "random", "granularity": granularity, "generator": generator()}
    partition(model, 0.3, **options)
    if deployed:
        compact(model)
    return model


def pad_bert(granularity: str, *, deployed: bool) -> nn.Module:
    config = transformers.BertConfig(
        **SMALL, hidden_size=24, num_attention_heads=4, intermediate_size=42, hidden_dropout_prob=0.0
    )
    model = transformers.BertForSequenceClassification(config)
    make_dynamic(model, MixtureConfig(num_kernels=4, noise=0.5))
    options: Any = {"criterion": "random", "granularity": granularity, "generator": generator()}
    partition(model, 0.3, **options)
    if deployed:
        compact(model)
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {"mixtral": mixtral, "smollm2": smollm2, "lora_vit": lora_vit}
MODELS["partitioned convolutions"] = partial(pad_net, "dy_conv", "weight", deployed=False)
MODELS["compact convolutions"] = partial(pad_net, "od_conv", "row", deployed=True)
MODELS["partitioned mixture"] = partial(pad_bert, "channel", deployed=False)
MODELS["compact mixture"] = partial(pad_bert, "channel", deployed=True)


class Logits(nn.Module):
    """One tensor in, one out, as an exported graph has them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        out = self.model(x)
        return getattr(out, "logits", out)


def built(name: str) -> Logits:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Logits(MODELS[name]()).eval()


def inputs(model: Logits, batch: int) -> Tensor:
    if isinstance(model.model, transformers.PreTrainedModel):
        return torch.randint(3, 99, (batch, 7), generator=generator())
    return torch.randn(batch, 3, 32, 32, generator=generator())


def close(found: Any, expected: Any) -> None:
    """Up to the rounding of float32 in a few layers: operators in a graph add up in another order."""
    agree(found, expected, "outputs", within=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_compiled_without_a_break(name: str) -> None:
    """Outputs, and gradients of all that trains; other choices of experts are not another graph."""
    model = built(name)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    x = inputs(model, 3)
    with torch.no_grad():
        close(compiled(x), model(x))
    out = compiled(x)
    out.square().sum().backward()
    found = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    model(x).square().sum().backward()
    expected = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
    assert found.keys() == expected.keys()
    largest = max(value.abs().max().item() for value in expected.values())
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=2e-5 * largest, rtol=1e-3, msg=lambda text, k=key: k + text)


BALANCED = {
    "cv2": MoEConfig(num_experts=4, noise="shazeer", balance="cv2", balance_coef=0.5),
    "switch": MoEConfig(num_experts=4, balance="switch", balance_coef=0.5, z_coef=0.1, capacity=1.0),
    "bias": MoEConfig(num_experts=4, balance="bias", bias_rate=0.1, z_coef=0.5),
}
ROUTER = "model.layers.0.mlp.router.weight"


def steps(config: MoEConfig, *, attach_it: bool, compiled: bool) -> list[dict[str, Tensor]]:
    """Loss, gradients and biases of a step with padding; of another in which the attached loss counts a quarter."""
    ids = torch.randint(3, 99, (3, 7), generator=generator())
    mask = (torch.arange(7) < torch.tensor([[7], [4], [2]])).long()
    batch = {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}
    found = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = convert(llama(layers=1), config).train()
        if attach_it:
            add_balance_loss(model)

        def step() -> Tensor:
            return model(**batch).loss + aux_loss(model)

        call = torch.compile(step, backend="aot_eager", fullgraph=True) if compiled else step
        for scale in (1.0, 0.25) if attach_it else (1.0,):
            torch.manual_seed(1)  # the noise of the routers
            model.zero_grad()
            loss = call()
            with scaled_losses(scale):
                loss.backward()
            gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
            update_biases(model)
            biases = {name: value.clone() for name, value in model.named_buffers() if "choice_bias" in name}
            found.append({"loss": loss.detach(), **gradients, **biases})
    return found


@pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning")  # torch's own compiler
@pytest.mark.parametrize(("name", "attach_it"), [("cv2", False), ("switch", True), ("bias", False)])
def test_a_training_step_with_its_balance_loss_has_no_break(name: str, attach_it: bool) -> None:
    """In a graph padding is not taken out but counts for nothing: the same sums in another order."""
    eager = steps(BALANCED[name], attach_it=attach_it, compiled=False)
    largest = max(value.abs().max().item() for value in eager[0].values())
    for step, other in zip(eager, steps(BALANCED[name], attach_it=attach_it, compiled=True), strict=True):
        assert step.keys() == other.keys()
        for key, value in step.items():
            torch.testing.assert_close(other[key], value, atol=2e-5 * largest, rtol=0, msg=lambda text, k=key: k + text)
    moved = (eager[-1][ROUTER] - eager[0][ROUTER]).abs().max()
    assert (moved > 1e-3 * largest) == attach_it  # what the scale of the first step, taken for a constant, would miss


@pytest.mark.parametrize("name", MODELS)
def test_exported_for_any_batch(name: str) -> None:
    model = built(name)
    with torch.no_grad():
        program = torch.export.export(model, (inputs(model, 3),), dynamic_shapes=({0: BATCH},))
        for batch in (1, 2, 9):
            x = inputs(model, batch)
            close(program.module()(x), model(x))


def test_an_exported_graph_comes_back_from_its_file(tmp_path: Path) -> None:
    """With operators of ours in it."""
    model = built("smollm2")
    x = inputs(model, 3)
    with torch.no_grad():
        torch.export.save(torch.export.export(model, (x,)), tmp_path / "graph.pt2")
        again = torch.export.load(tmp_path / "graph.pt2")
        assert any("sparsebench" in str(node.target) for node in again.graph.nodes)
        close(again.module()(x), model(x))


def come_back(model: Any, folder: Path) -> Any:
    """Through the savers of the library that a model is of."""
    if isinstance(model, transformers.PreTrainedModel):
        model.save_pretrained(folder)
        return transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    timm.models.save_for_hf(model, str(folder), safe_serialization=True)
    return load(folder)


def named_net() -> nn.Module:
    """As `pad_net`, of a name that timm knows."""
    model = timm.create_model("test_resnet", num_classes=3)
    make_dynamic(model, ConvConfig(num_kernels=2, noise=0.5), modules="layer[12]")
    partition(model, 0.3, criterion="random", granularity="row", generator=generator())
    compact(model)
    return model


@pytest.mark.parametrize(
    "build", [named_net, partial(pad_bert, "channel", deployed=True)], ids=["timm", "transformers"]
)
def test_one_graph_after_it_was_saved_and_loaded(build: Callable[[], nn.Module], tmp_path: Path) -> None:
    """Compiled and exported as the saved one, which the tests above have, and equal to that."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Logits(build()).eval()
    again = Logits(come_back(model.model, tmp_path / "net")).eval()
    x = inputs(model, 3)
    with torch.no_grad():
        expected = model(x)
        assert torch.equal(again(x), expected)
        close(torch.compile(again, backend="aot_eager", fullgraph=True)(x), expected)
        program = torch.export.export(again, (x,), dynamic_shapes=({0: BATCH},))
        close(program.module()(x), expected)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's own exporter
@pytest.mark.parametrize(("kind", "granularity"), [("dy_conv", "weight"), ("od_conv", "row"), ("cond_conv", "channel")])
def test_a_compact_network_of_any_batch_in_onnxruntime(kind: str, granularity: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    saved = pad_net(kind, granularity, deployed=True).eval()
    save(saved, tmp_path / "net", like=plain_net(), example=torch.randn(2, 3, 32, 32, generator=generator()))
    model = load(tmp_path / "net", like=plain_net())
    x = torch.randn(3, 3, 32, 32, generator=generator())
    file = tmp_path / "net.onnx"
    torch.onnx.export(model, (x,), file, dynamo=True, dynamic_shapes=({0: BATCH},), verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 9):
        x = torch.randn(batch, 3, 32, 32, generator=generator())
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        with torch.no_grad():
            close(torch.from_numpy(found), saved(x))
