"""Small mixtures of every layout that holds experts, and an input for each."""

from collections.abc import Callable, Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import (
    MLP,
    Anatomy,
    Block,
    Experts,
    ListedExperts,
    Site,
    register_describer,
    see_through,
)
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary
from sparsebench.models.moe import MoEConfig, convert

from ...stock_mixtures import DEEPSEEK, noise_routers, stock

VOCABULARY = Vocabulary.improved([(6, 0), (7, 0), (8, 0)])


def _converted() -> nn.Module:
    """Our own bank: unequal experts filled up with zeros, and a shared block."""
    return convert(stock("Llama", intermediate_size=50), MoEConfig(num_experts=4, num_shared=1, top_k=2))


def _vit() -> nn.Module:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=2, num_heads=4, num_classes=3)
    return convert(vit, MoEConfig(num_experts=4, num_shared=1, top_k=2))


def _graphsgpt() -> nn.Module:
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_words": 2}
    return convert(Graph2Seq(GraphsGPTConfig.of(VOCABULARY, **sizes)), MoEConfig(num_experts=4, top_k=2))


class Listed(nn.Module):
    """A model whose experts are modules of their own, which it weighs and adds up itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ListedBlock() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class ListedBlock(nn.Module):
    """One mixture of three experts, top-1."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(32, 3, bias=False)
        self.experts = nn.ModuleList(
            nn.ModuleDict({"up": nn.Linear(32, 16), "down": nn.Linear(16, 32, bias=False)}) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        weight, index = self.router(x).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for place, expert in enumerate(self.experts):
            assert isinstance(expert, nn.ModuleDict)
            mine = index == place
            out[mine] = weight[mine, None] * expert["down"](expert["up"](x[mine]).relu())
        return x + out


def _describe_listed(model: Any) -> Anatomy:
    blocks: list[Block] = []
    for index, layer in enumerate(model.layers):
        experts = ListedExperts(
            num_experts=3,
            top_k=1,
            tensors=(),
            router=Site(layer, "router"),
            rows=(Site(layer.router, "weight"),),
            container=see_through(layer, "experts"),
            names=(None, "up", "down"),
        )
        site = Site(model.layers, str(index))
        blocks.append(
            Block(
                index=index,
                site=site,
                mlp=MLP(site=site, output=site, kind="moe", width=32, hidden=16, experts=experts),
            )
        )
    return Anatomy(model=model, blocks=tuple(blocks), width=32)


register_describer(Listed, _describe_listed)

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "mixtral": lambda: stock("Mixtral", num_local_experts=4),
    "qwen2_moe": lambda: stock("Qwen2Moe", num_experts=4, moe_intermediate_size=16, shared_expert_intermediate_size=16),
    "gpt_oss": lambda: stock("GptOss", num_local_experts=4, head_dim=8, layer_types=["full_attention"] * 2),
    "deepseek_v3": lambda: stock("DeepseekV3", **DEEPSEEK),
    "granite": lambda: stock("GraniteMoeShared", num_local_experts=4, shared_intermediate_size=16),
    "converted": _converted,
    "vit": _vit,
    "graphsgpt": _graphsgpt,
    "listed": Listed,
}
FUSED = [name for name in BUILDERS if name != "listed"]


def mixture(name: str) -> nn.Module:
    """A model in eval mode, the same weights at each call; routers and biases are not 0."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BUILDERS[name]().eval()
        noise_routers(model)
    return model


def batches(name: str, *, count: int = 2) -> list[Any]:
    """Calibration batches: padded text, images, molecules or plain tokens."""
    generator = torch.Generator().manual_seed(1)
    if name == "vit":
        return [torch.randn(2, 3, 32, 32, generator=generator) for _ in range(count)]
    if name == "graphsgpt":
        molecules = ["CCO", "c1ccncc1", "CC(=O)NC", "OCCN"]
        return [Tokenizer(VOCABULARY)(molecules[place : place + 2]).batch() for place in range(0, 2 * count, 2)]
    if name == "listed":
        return [torch.randn(2, 9, 32, generator=generator) for _ in range(count)]
    found = []
    for _ in range(count):
        ids = torch.randint(3, 64, (2, 12), generator=generator)
        mask = torch.ones_like(ids)
        mask[1, :5] = 0
        found.append({"input_ids": ids, "attention_mask": mask})
    return found


def run(model: nn.Module, batch: Any) -> Any:
    """A forward pass."""
    return model(**batch) if isinstance(batch, dict) else model(batch)


def output(model: nn.Module, batch: Any) -> Tensor:
    """What a model puts out, as one tensor."""
    with torch.no_grad():
        found = run(model, batch)
    if isinstance(found, Tensor):
        return found
    return found.logits


def calls_of(experts: Experts, model: nn.Module, given: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a bank of experts is called with, batch by batch: x, index, weight."""
    calls: list[tuple[Any, ...]] = []
    assert experts.module is not None
    hook = experts.module.get().register_forward_pre_hook(lambda module, args: calls.append(args))
    for batch in given:
        output(model, batch)
    hook.remove()
    return calls
