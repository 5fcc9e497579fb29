"""Base of the methods that train small modules in a frozen backbone."""

import pytest
from torch import nn

from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.adapters.lora import LoRA
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from ...reasons import reason


def context(seed: int = 0, task: str = "t", target: Target = Target("classification", 3)) -> Context:  # noqa: B008
    return Context(suite="vtab", task=task, seed=seed, target=target)


def test_where_modules_have_no_place() -> None:
    assert reason(SyntheticText, "llm", "tiny", LoRA()) == "this task does not train"
    assert "a graph network" in (reason(Blobs, "molecules", "gin", LoRA()) or "")
    assert "a fingerprint" in (reason(Blobs, "molecules", "ecfp4", Adapter()) or "")
    assert reason(Blobs, "vtab", "tiny", LoRA()) is None


def test_a_model_without_known_blocks_is_not_applicable() -> None:
    with pytest.raises(NotApplicable, match="no blocks are known"):
        Adapter().blocks_of(nn.Linear(1, 1))


def test_first_weights_are_one_for_every_task_and_method_of_a_replicate() -> None:
    assert LoRA().init_seed(context(task="a")) == Adapter().init_seed(context(task="b"))
    assert LoRA().init_seed(context(seed=0)) != LoRA().init_seed(context(seed=1))


def test_a_vocabulary_projection_stays_frozen() -> None:
    assert LoRA().common(context())["train_head"]
    assert not LoRA().common(context(target=Target("next-token", 257)))["train_head"]
