"""DPO as a method: routers stay, no balance loss, the reference is read once, answers change places."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.methods.dpo import DPO
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import SyntheticInstructions
from sparsebench.suites.llm.training.preferences import answer_log_probs, collate_pairs, preference_pairs
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2


def setup(task: Any = SyntheticInstructions, dtype: torch.dtype = torch.float32, **budget: Any) -> Setup:
    given = Budget(**{"batch_size": 8, "calibration_examples": 2, **budget})
    return task().setup(tiny.load, Context(suite="llm", task="t", seed=0, budget=given, dtype=dtype))


def test_right_answers_become_likelier_and_routers_stay() -> None:
    found = setup(epochs=12)
    data = replace(found.data, train=found.data.only(["backwards"]).train[:8])
    model = LlamaMoEV2(train="none").prepare(found.model, found.context)
    method = DPO(learning_rate=1e-2)
    before = copy.deepcopy(model.state_dict())
    curves = method.fit(method.prepare(model, found.context), data, found.context)
    assert curves["train loss"][0][1] == pytest.approx(math.log(2), abs=1e-4)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name, _ in model.named_parameters() if ".router." not in name}
    pairs = preference_pairs(data, found.context.task_generator("preferences"))
    with torch.no_grad():
        now = answer_log_probs(model, collate_pairs(pairs, found.context.device))
        model.load_state_dict(before)
        then = answer_log_probs(model, collate_pairs(pairs, found.context.device))
    gained = now - then
    assert len(pairs) >= 4 and (gained[:, 0] - gained[:, 1]).mean() > 2, "nats"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_first_loss_is_that_of_equal_models(dtype: torch.dtype) -> None:
    """The reference is read with the precision of the training, and no balance loss is added."""
    found = setup(steps=1, dtype=dtype)
    model = LlamaMoEV2(train="none").prepare(found.model, found.context)
    method = DPO()
    curves = method.fit(method.prepare(model, found.context), found.data, found.context)
    assert curves["train loss"] == [(1.0, pytest.approx(math.log(2), abs=1e-4))]


def test_plain_text_has_no_preferences() -> None:
    found = setup(SyntheticDomains, steps=1)
    method = DPO()
    with pytest.raises(NotApplicable, match="plain text"):
        method.fit(method.prepare(found.model, found.context), found.data, found.context)


def test_a_beta_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"beta=0\.0 must be above 0"):
        DPO(beta=0.0)
