"""The conformance battery of routers, splits and criteria, on a tiny Llama with random weights."""

import copy
import functools
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from sparsebench.models import load, save
from sparsebench.models.adapters import AdapterSet, LoRAConfig, attach, sparsify
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, aux_loss, calibrate, convert, export, to_dense
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.kinds import router_class
from sparsebench.models.sparsity.scoring import Evidence, criterion

from .methods import NonconformingError, require

EXPERTS = 4
Rule = Callable[[str], str | None]
"""Takes the name of a part, raises where it breaks the rule, and may remark something."""


def llama() -> Any:
    """A causal LM of two blocks, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_key_value_heads": 2}
        config = transformers.LlamaConfig(num_hidden_layers=2, vocab_size=64, **sizes)  # type: ignore[arg-type]
        return transformers.LlamaForCausalLM(config).eval()


def batch() -> dict[str, Tensor]:
    """Eight rows of tokens."""
    ids = torch.randint(64, (8, 6), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "labels": ids}


@torch.no_grad()
def outputs(model: Any) -> Tensor:
    """Logits of the batch."""
    return model.eval()(batch()["input_ids"]).logits.float()


def of_router(name: str, seed: int = 0) -> MoEConfig:
    """A conversion with that router."""
    return MoEConfig(num_experts=EXPERTS, router=name, router_init=router_class(name).starts[0], seed=seed)  # type: ignore[arg-type]


def of_split(name: str, seed: int = 0) -> MoEConfig:
    """A conversion by that split, with a shared block where it wants one."""
    try:
        return MoEConfig(num_experts=EXPERTS, split=name, seed=seed)
    except ModelError:
        return MoEConfig(num_experts=EXPERTS, split=name, num_shared=1, seed=seed)


def mixture(config: MoEConfig) -> Any:
    """The converted model."""
    model = llama()
    seen = calibrate(model, [batch()], gradients="gradients" in config.needs) if config.needs else None
    return convert(model, config, seen)


def layers(model: nn.Module) -> list[MoEFFN]:
    """Its mixtures."""
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


def logits_of_experts(name: str) -> None:
    """Finite logits (T, N) in float32, for any number of tokens, also of a model in bfloat16."""
    for dtype in (torch.float32, torch.bfloat16):
        router = layers(mixture(of_router(name)).to(dtype))[0].router
        for tokens in (1, 13):
            logits = router.logits(torch.randn(tokens, 32, generator=torch.Generator().manual_seed(2)))
            require(logits.shape == (tokens, EXPERTS), f"logits have the shape {tuple(logits.shape)}")
            require(logits.dtype == torch.float32, f"logits of float32 are {logits.dtype}")
            require(bool(torch.isfinite(logits).all()), "logits are not finite")


def gradients(name: str) -> None:
    """Every parameter of the router gets a finite gradient of the loss of a model that trains."""
    model = mixture(of_router(name)).train()
    (model(**batch()).loss + aux_loss(model)).backward()
    for parameter_name, parameter in layers(model)[0].router.named_parameters():
        gradient = parameter.grad
        if gradient is None:
            raise NonconformingError(f"{parameter_name} gets no gradient")
        require(bool(torch.isfinite(gradient).all()), f"the gradient of {parameter_name} is not finite")


def fewer_experts(name: str) -> None:
    """Experts can be taken out, with their rows of the router, and the model goes on."""
    model = mixture(of_router(name))
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.experts is not None
    mlp.experts.keep([0, 2])
    router = layers(model)[0].router
    require(router.num_routed == 2, f"num_routed is {router.num_routed} after two of four experts went")
    require(router.logits(torch.zeros(3, 32)).shape == (3, 2), "logits still have other experts: see `rows`")
    require(bool(torch.isfinite(outputs(model)).all()), "outputs are not finite")


def export_or_refusal(name: str) -> str:
    """A stock checkpoint computes the same, or the export says why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return f"as {export(mixture(of_router(name)), Path(folder) / 'stock')}"
        except ModelError as error:
            return f"refused: {error}"


def blocks(name: str) -> str | None:
    """Blocks that a mixture can have; with each neuron once, `to_dense` gives the dense layer back."""
    model = mixture(of_split(name))
    neurons = layers(model)[0].neurons
    once = torch.equal(neurons.sort().values, torch.arange(48))
    if not once:
        return "experts share neurons, or miss some"
    # Sums in another order: products of 48 numbers each, over two layers.
    same = torch.allclose(outputs(to_dense(model)), outputs(llama()), rtol=1e-4, atol=1e-5)
    require(same, "to_dense does not give the dense model back")
    return None


def _determinism(config: Callable[..., MoEConfig], name: str) -> None:
    """One seed gives the same bits twice."""
    first, again = (outputs(mixture(config(name))) for _ in range(2))
    require(torch.equal(first, again), "two conversions with one seed differ")


def _bfloat16(config: Callable[..., MoEConfig], name: str) -> None:
    """A model in bfloat16 converts and runs, with finite outputs."""
    model = llama().to(torch.bfloat16)
    convert(model, config(name), [batch()])
    require(bool(torch.isfinite(outputs(model)).all()), "outputs are not finite")


def _saving(config: Callable[..., MoEConfig], name: str) -> None:
    """Saved, loaded and copied models compute the same bits."""
    _same_again(mixture(config(name)))


def _same_again(model: Any) -> None:
    expected = outputs(model)
    require(torch.equal(outputs(copy.deepcopy(model)), expected), "a deep copy gives other outputs")
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder) / "model")
        require(torch.equal(outputs(load(Path(folder) / "model")), expected), "outputs differ after saving and loading")


def adapted(dtype: torch.dtype = torch.float32) -> AdapterSet:
    """Adapters on a model, both factors random."""
    return attach(llama().to(dtype), LoRAConfig(r=4, init="normal"))


def evidence(adapters: AdapterSet) -> Evidence:
    """What a criterion may look at."""
    from sparsebench.models.adapters.pruning.adapter_units import pairs

    generator = torch.Generator().manual_seed(3)
    return Evidence(model=adapters.model, pairs=pairs(adapters), batches=[batch()], loss_fn=loss, generator=generator)


def loss(model: nn.Module, rows: Any) -> Tensor:
    """The model's own."""
    return model(**rows).loss


def scores(name: str) -> None:
    """A finite score for each stored entry, the same twice; the model stays as it was."""
    for dtype in (torch.float32, torch.bfloat16):
        adapters = adapted(dtype)
        masked = list(adapters.prunable().values())
        before = copy.deepcopy(adapters.model.state_dict())
        first, again = (criterion(name)(masked, evidence(adapters)) for _ in range(2))
        for one, other in zip(first, again, strict=True):
            require(bool(torch.isfinite(one).all()), f"scores of {dtype} are not finite")
            require(torch.equal(one, other), "two passes with one seed differ")
        same = all(torch.equal(value, before[key]) for key, value in adapters.model.state_dict().items())
        require(same, "the weights of the model have changed")
        require(all(p.grad is None for p in adapters.model.parameters()), "gradients were left in the model")


def pruning(name: str) -> str | None:
    """Half of the weights stay, exactly; saved, loaded and copied models compute the same. Units, where it can."""
    adapters = adapted()
    _sparsify(name, adapters)
    left = sum(layer.stored.numel() for layer in adapters.prunable().values())
    total = sum(layer.shape.numel() for layer in adapters.prunable().values())
    require(left == round(total / 2), f"{left} of {total} weights stayed")
    _same_again(adapters.model)
    try:
        _sparsify(name, adapted(), granularity="unit")
    except ModelError as error:
        return f"no units: {error}"
    return None


def _sparsify(name: str, adapters: AdapterSet, **further: Any) -> None:
    generator = torch.Generator().manual_seed(3)
    sparsify(adapters, method=name, sparsity=0.5, batches=[batch()], loss_fn=loss, generator=generator, **further)


def _named(rule: Callable[..., str | None], config: Callable[..., MoEConfig]) -> tuple[str, Rule]:
    return rule.__name__.lstrip("_"), functools.partial(rule, config)


def _plain(rules: Iterable[Rule]) -> list[tuple[str, Rule]]:
    return [(rule.__name__, rule) for rule in rules]  # type: ignore[attr-defined]


def _common(config: Callable[..., MoEConfig]) -> list[tuple[str, Rule]]:
    return [_named(rule, config) for rule in (_determinism, _bfloat16, _saving)]


BATTERIES: Mapping[str, Sequence[tuple[str, Rule]]] = {
    "router": [*_plain([logits_of_experts, gradients, fewer_experts, export_or_refusal]), *_common(of_router)],
    "split": [*_plain([blocks]), *_common(of_split)],
    "criterion": _plain([scores, pruning]),
}
"""Rules by name."""
