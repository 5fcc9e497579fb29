"""Experts of stock mixtures: weights read and written, and some of them kept, against the model with all of them."""

import copy
import types
from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import (
    Experts,
    ExpertWeights,
    ListedExperts,
    Site,
    Wrapper,
    describe,
    see_through,
    stock_experts,
    table_at,
)
from sparsebench.models.errors import ModelError

from ..stock_mixtures import DEEPSEEK, noise_routers, stock

DEEPSEEK_IN_GROUPS = DEEPSEEK | {"n_routed_experts": 8, "n_group": 2}


def _model(family: str, **extra: object) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = stock(family, **extra).eval()
        noise_routers(model)
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "mixtral": lambda: _model("Mixtral", num_local_experts=8),
    "qwen2_moe": lambda: _model(
        "Qwen2Moe", num_experts=8, moe_intermediate_size=16, shared_expert_intermediate_size=16
    ),
    "gpt_oss": lambda: _model("GptOss", num_local_experts=8, head_dim=8, layer_types=["full_attention"] * 2),
    "deepseek_v3": lambda: _model("DeepseekV3", **DEEPSEEK_IN_GROUPS),
    "deepseek_v2": lambda: _model("DeepseekV2", **DEEPSEEK_IN_GROUPS, topk_method="group_limited_greedy"),
    "granite": lambda: _model("GraniteMoeShared", num_local_experts=8, shared_intermediate_size=16),
}
PLACES = {"gpt_oss": ("mlp", "router"), "granite": ("block_sparse_moe", "router")}
KEPT = [1, 2, 3, 5, 6, 7]


def experts_of(name: str, model: nn.Module) -> list[Experts]:
    place, router = PLACES.get(name, ("mlp", "gate"))
    found = []
    for layer in model.model.layers:
        module = getattr(layer, place)
        if hasattr(module, "experts"):
            experts = stock_experts(module, router)
            experts.holders = (*experts.holders, model, model.config)
            found.append(experts)
    return found


class Closed:
    """`torch.nn.functional` whose router logits of some experts are so low that nothing chooses these."""

    def __init__(self, closed: torch.Tensor) -> None:
        self.closed = closed

    def __getattr__(self, name: str) -> object:
        return getattr(nn.functional, name)

    def linear(self, *args: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(*args).masked_fill(self.closed, -1e4)


def forbid(experts: Experts, kept: list[int]) -> None:
    """The oracle: all experts stay, and the router can never choose the others."""
    router = experts.router.get()
    closed = torch.ones(experts.num_experts, dtype=torch.bool)
    closed[kept] = False
    if hasattr(router, "e_score_correction_bias"):
        router.e_score_correction_bias[closed] = -1e4
    forward = type(router).forward
    names = {**forward.__globals__, "F": Closed(closed)}
    router.forward = types.FunctionType(forward.__code__, names).__get__(router)


@pytest.mark.parametrize("name", MODELS)
def test_one_expert_computes_what_its_weights_say(name: str) -> None:
    model = MODELS[name]()
    experts = experts_of(name, model)[0]
    assert experts.module is not None
    weights = experts.weights(3)
    x = torch.randn(5, 32)
    found = experts.module.get()(x, torch.full((5, 1), 3), torch.ones(5, 1))
    gate = nn.functional.linear(x, weights.gate, weights.gate_bias)
    up = nn.functional.linear(x, weights.up, weights.up_bias)
    module = experts.module.get()
    if name == "gpt_oss":
        hidden = (up.clamp(-module.limit, module.limit) + 1) * gate.clamp(max=module.limit)
        hidden = hidden * torch.sigmoid(gate.clamp(max=module.limit) * module.alpha)
    else:
        hidden = module.act_fn(gate) * up
    torch.testing.assert_close(found, nn.functional.linear(hidden, weights.down, weights.down_bias))


@pytest.mark.parametrize("name", MODELS)
def test_what_enters_the_down_projection(name: str) -> None:
    """With a down projection that takes single neurons out, the experts give just these."""
    experts = experts_of(name, MODELS[name]())[0]
    assert experts.module is not None
    up, down, down_bias = (experts.weights(3)[place] for place in (1, 2, 5))
    assert up is not None and down is not None
    x = torch.randn(5, 32)
    hidden = experts.hidden(3, x)
    assert hidden.shape == (5, len(up))
    with torch.no_grad():
        nn.init.eye_(down)
        if down_bias is not None:
            down_bias.zero_()
        found = experts.module.get()(x, torch.full((5, 1), 3), torch.ones(5, 1))
    shown = min(down.shape)
    torch.testing.assert_close(found[:, :shown], hidden[:, :shown])


@pytest.mark.parametrize("name", MODELS)
def test_written_weights_are_read_back(name: str) -> None:
    experts = experts_of(name, MODELS[name]())[0]
    other = experts.weights(1)
    new = ExpertWeights(*(None if part is None else torch.randn_like(part) for part in other))
    before = [None if part is None else part.clone() for part in experts.weights(0)]
    experts.set_weights(1, new)
    for found, wanted in zip(experts.weights(1), new, strict=True):
        assert found is wanted is None or torch.equal(found, wanted)
    for found, wanted in zip(experts.weights(0), before, strict=True):
        assert found is wanted is None or torch.equal(found, wanted)


def test_weights_of_another_shape_are_refused() -> None:
    experts = experts_of("mixtral", MODELS["mixtral"]())[0]
    gate, up, down, *_ = (None if part is None else part.clone() for part in experts.weights(0))
    with pytest.raises(ModelError, match=r"down of expert 0 has shape \(32, 48\), not \(32, 47\) as given"):
        experts.set_weights(0, ExpertWeights(gate, up, down[:, :47]))
    with pytest.raises(ModelError, match=r"down_bias of expert 0 has shape None, not \(32,\)"):
        experts.set_weights(0, ExpertWeights(gate, up, down, down_bias=torch.zeros(32)))
    assert torch.equal(experts.weights(0).up, up)


@pytest.mark.parametrize("name", MODELS)
def test_kept_experts_compute_what_the_router_could_still_choose(name: str, tmp_path) -> None:
    model = MODELS[name]()
    oracle = copy.deepcopy(model)
    ids = torch.randint(3, 64, (2, 9), generator=torch.Generator().manual_seed(0))
    for experts in experts_of(name, oracle):
        forbid(experts, KEPT)
    for experts in experts_of(name, model):
        experts.keep(KEPT)
        assert (experts.num_experts, experts.top_k) == (6, 2)
    with torch.no_grad():
        found = model(ids).logits
        torch.testing.assert_close(found, oracle(ids).logits)
    model.save_pretrained(tmp_path)
    loaded, info = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    with torch.no_grad():
        assert torch.equal(loaded.eval()(ids).logits, found)


def test_a_router_never_chooses_more_experts_than_there_are() -> None:
    model = MODELS["mixtral"]()
    for experts in experts_of("mixtral", model):
        experts.keep([4])
    assert model.config.num_experts_per_tok == 1 and model.num_experts == 1
    assert model(torch.tensor([[3, 4]]), output_router_logits=True).aux_loss.isfinite()


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([], "at least one"),
        ([0, 0], "different experts"),
        ([8], r"experts of 0\.\.7"),
        ([0, 1, 2, 4], "2 groups of 4 experts: keep equally many of each, 2 or more"),
        ([0, 4], "2 or more"),
        ([4, 5, 0, 1], "group by group"),
    ],
)
def test_what_cannot_be_kept_is_refused(kept: list[int], message: str) -> None:
    model = MODELS["deepseek_v3"]()
    experts = experts_of("deepseek_v3", model)[0]
    with pytest.raises(ModelError, match=message):
        experts.keep(kept)
    assert experts.num_experts == 8 and len(experts.router.get().weight) == 8


class Tabled(Wrapper):
    """Stands around experts and says which one a row of the router stands for."""

    def __init__(self, experts: nn.Module, table: list[int]) -> None:
        super().__init__(experts)
        self.register_buffer("table", torch.tensor(table))


def test_weights_are_kept_apart_from_the_router(build: Callable[[str], nn.Module]) -> None:
    """And with a table in between, rows of the router stay for ever."""
    model = build("mixtral")
    experts = experts_of_first(model)
    last = experts.weights(3).down.clone()
    assert experts.table is None and table_at(model.model.layers[0].mlp, "experts") is None
    with pytest.raises(ModelError, match=r"keep\(\[4\]\) needs different experts"):
        experts.keep_tensors([4])
    experts.keep_tensors([3, 0])
    module = model.model.layers[0].mlp
    assert experts.num_experts == 2 == module.experts.num_experts and torch.equal(experts.weights(0).down, last)
    assert len(module.gate.weight) == 4 == module.gate.num_experts and model.config.num_local_experts == 4
    module.experts = Wrapper(Tabled(module.experts, [1, 0, -1, 0, -1]))
    seen = experts_of_first(model)
    assert seen.num_experts == 2 and seen.rows == () and seen.table is not None
    seen.keep([1])
    assert seen.table.get().tolist() == [0, -1, -1, -1, -1]
    assert len(module.gate.weight) == 4 and model.config.num_local_experts == 4 and seen.top_k == 2


def experts_of_first(model: nn.Module) -> Experts:
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.experts is not None
    return mlp.experts


class Listed(nn.Module):
    """Experts as modules of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(4, 3, bias=False)
        self.experts = nn.ModuleList(
            nn.ModuleDict({"up": nn.Linear(4, 6), "down": nn.Linear(6, 4, bias=False)}) for _ in range(3)
        )


def test_experts_in_a_list() -> None:
    module = Listed()
    first, _, last = module.experts
    experts = ListedExperts(
        num_experts=3,
        top_k=1,
        tensors=(),
        router=Site(module, "router"),
        rows=(Site(module.router, "weight"),),
        container=see_through(module, "experts"),
        names=(None, "up", "down"),
    )
    assert experts.numel() == 3 * (4 * 6 + 6 + 6 * 4)
    weights = experts.weights(2)
    assert weights.gate is None and weights.up is last["up"].weight and weights.up_bias is last["up"].bias
    with pytest.raises(ModelError, match="does not say what lies between projections"):
        experts.hidden(2, torch.zeros(1, 4))
    router = module.router.weight.detach().clone()
    experts.keep([2, 0])
    assert [*module.experts] == [last, first] and torch.equal(module.router.weight, router[[2, 0]])


def test_describe_lets_experts_know_the_model(build: Callable[[str], nn.Module]) -> None:
    model = build("mixtral")
    for block in describe(model).blocks:
        assert block.mlp is not None and block.mlp.experts is not None
        block.mlp.experts.keep([0, 3, 1])
    assert model.num_experts == model.config.num_local_experts == model.model.layers[1].mlp.gate.num_experts == 3
