"""Merging as a method: donors as further backbones, prompts as routers, and the reasons where it cannot be."""

from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.backbones.small_llama import load as small_llama
from sparsebench.suites.methods.moe.merge_experts import MergeExperts
from sparsebench.suites.vtab.backbones import tiny as tiny_vit

from ..setups import images, text

PROMPTS = (("one two", "three"), ("def f(x):",))


def weights(model: Any, expert: int) -> torch.Tensor:
    return model.model.layers[0].mlp.experts.weights(expert).up.detach()


def test_the_backbone_is_the_first_expert_and_donors_follow() -> None:
    setup = text(further={"tiny": tiny.load})
    own = setup.model.model.layers[0].mlp.up_proj.weight.detach().clone()
    donor = setup.context.load_backbone("tiny").model.model.layers[0].mlp.up_proj.weight
    embedded = setup.model.model.embed_tokens.weight.detach().clone()
    method = MergeExperts(top_k=1)
    assert method.backbones() == ("tiny",) and method.gives == {"experts"}
    model: Any = method.prepare(setup.model, setup.context)
    assert torch.equal(weights(model, 0), own) and torch.equal(weights(model, 1), donor.detach())
    assert not torch.equal(own, donor)
    assert torch.equal(model.model.embed_tokens.weight.detach(), embedded)


def test_the_rest_may_be_the_mean() -> None:
    setup = text(further={"tiny": tiny.load})
    own = setup.model.model.embed_tokens.weight.detach().clone()
    donor = setup.context.load_backbone("tiny").model.model.embed_tokens.weight.detach()
    model: Any = MergeExperts(rest="mean").prepare(setup.model, setup.context)
    torch.testing.assert_close(model.model.embed_tokens.weight.detach(), (own + donor) / 2)


@torch.no_grad()
def test_rows_of_the_router_come_from_the_prompts() -> None:
    setup = text(further={"tiny": tiny.load})
    seen: list[torch.Tensor] = []
    hook = setup.model.model.layers[0].mlp.register_forward_pre_hook(lambda module, args: seen.append(args[0][0]))
    tokenizer = setup.backbone.tokenizer
    means = []
    for texts in PROMPTS:
        seen.clear()
        for prompt in texts:
            setup.model(input_ids=torch.tensor([tokenizer(prompt)["input_ids"]]))
        means.append(torch.cat(seen).mean(0))
    hook.remove()
    model: Any = MergeExperts(prompts=PROMPTS).prepare(setup.model, setup.context)
    wanted = torch.stack([mean / mean.norm() for mean in means])
    torch.testing.assert_close(model.model.layers[0].mlp.router.weight, wanted, atol=1e-6, rtol=1e-6)


def test_donors_of_another_shape_are_not_applicable() -> None:
    setup = text(further={"small_llama": small_llama})
    with pytest.raises(NotApplicable, match=r"model 2 .LlamaForCausalLM. has 4 blocks, the base .LlamaForCausalLM. 2"):
        MergeExperts(donors=("small_llama",)).prepare(setup.model, setup.context)


def test_prompts_are_for_language_models() -> None:
    setup = images(further={"tiny": tiny_vit.load})
    with pytest.raises(NotApplicable, match="prompts are for language models"):
        MergeExperts(prompts=PROMPTS).prepare(setup.model, setup.context)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompts": PROMPTS, "donors": ("tiny", "tiny")}, "prompts for 2 models, but there are 3"),
        ({"centre": True}, "centre says something of prompts"),
        ({"top_k": 3}, "top_k=3"),
        ({"donors": ()}, "top_k=2"),
    ],
)
def test_an_impossible_config_is_refused_before_anything_runs(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MergeExperts(**fields)
