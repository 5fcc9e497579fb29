"""How a teacher starts, what of it trains, and where it has no place."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import adapter_sets
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import tiny as tiny_lm
from sparsebench.suites.methods.pair._teacher import Teacher, adapters_of
from sparsebench.suites.methods.pair.idat import InverseDistillationTuning

from .pairs import GRAPHS, VITS, WRITERS, Pair

PLAIN: Any = {"adapter": "bottleneck", "rank": 4, "blocks": "all", "init": "normal", "trains": "adapters"}


def teacher(pair: Pair, **options: Any) -> Teacher:
    return Teacher(name=pair.teacher, **{**PLAIN, **options})


def context_of(pair: Pair) -> Any:
    return pair.setup(InverseDistillationTuning(teacher=pair.teacher)).context


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("trains", ["adapters", "head", "all", "none"])
def test_what_trains(trains: str) -> None:
    model = teacher(VITS, trains=trains).set_up(context_of(VITS)).model
    found = trained(model)
    names = {name for name, _ in model.named_parameters()}
    head = {"head.weight", "head.bias"}
    if trains == "adapters":
        assert head < found and len(found) == len(head) + 2 * 4
    else:
        assert found == {"head": head, "all": names, "none": set()}[trains]
    assert bool(adapter_sets(model)) == (trains in ("adapters", "none"))


def test_a_teacher_of_the_same_kind_is_no_copy_of_the_student() -> None:
    """Not even of a backbone whose weights are the same at each load."""
    method = InverseDistillationTuning(teacher="tiny", rank=4, init="normal")
    setup = VITS.setup(method)
    context = replace(setup.context, load_backbone=lambda name: VITS.setup(method))
    student = method.prepare(setup.model, context)
    other = teacher(VITS).set_up(context).model
    own, of_other = dict(student.named_parameters()), dict(other.named_parameters())
    assert own.keys() == of_other.keys()
    different = {name for name in own if not torch.equal(own[name], of_other[name])}
    assert different == {name for name in trained(student) if name == "head.weight" or name.endswith("weight")}
    assert of_other["head.weight"].std().item() == pytest.approx(0.02, rel=0.3)
    again = teacher(VITS).set_up(replace(context, load_backbone=lambda name: VITS.setup(method))).model
    assert all(torch.equal(value, of_other[name]) for name, value in again.named_parameters())


def test_a_language_model_keeps_its_vocabulary_projection() -> None:
    context = context_of(WRITERS)
    before = context.load_backbone("tiny").model.lm_head.weight
    model = teacher(WRITERS).set_up(context).model
    assert torch.equal(model.lm_head.weight, before) and not model.lm_head.weight.requires_grad
    assert trained(model)


def test_a_teacher_without_a_place_for_adapters() -> None:
    """A graph network has no blocks; blocks that are not there; iDAT's adapters in a post-norm encoder."""
    graphs = Pair("molecules", "synthetic", "tiny_encoder", "tiny")
    with pytest.raises(NotApplicable, match="the teacher tiny: "):
        teacher(graphs).check(graphs.context())
    teacher(graphs, trains="all").check(graphs.context())
    with pytest.raises(NotApplicable, match="exceeds the 2 blocks"):
        teacher(VITS, blocks=3).check(VITS.context())
    with pytest.raises(NotApplicable, match="not known as a sum"):
        teacher(GRAPHS, adapter="idat_sequential").check(GRAPHS.context())


def test_another_vocabulary_is_refused_before_any_data_is_read() -> None:
    class Longer:
        """A tokenizer with one more token."""

        def __len__(self) -> int:
            return len(tiny_lm.load(torch.Generator()).tokenizer) + 1

    def load(generator: torch.Generator) -> Any:
        return replace(tiny_lm.load(generator), tokenizer=Longer())

    context = replace(context_of(WRITERS), further={"tiny": load})
    with pytest.raises(NotApplicable, match=r"vocabulary of the teacher tiny has \d+ tokens and that of the student"):
        teacher(WRITERS).check(context)


@pytest.mark.parametrize("kind", ["bottleneck", "lora", "idat_sequential", "idat_adaptformer", "idat_shared_parallel"])
def test_every_kind_has_the_wanted_rank_and_start(kind: Any) -> None:
    model = VITS.setup(InverseDistillationTuning(teacher="tiny")).model
    config: Any = adapters_of(kind, model, rank=3, init="normal", blocks=1, seed=2, train_head=False)
    assert (config.r, config.init, config.blocks, config.seed, config.train_head) == (3, "normal", 1, 2, False)
