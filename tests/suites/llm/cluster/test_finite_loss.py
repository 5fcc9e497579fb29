"""What the log says is not finite ends the training; `test_stages.py` has a whole one."""

from typing import Any

import pytest
from transformers import TrainerState

from sparsebench.suites.llm.cluster.finite_loss import FiniteLoss

ANY: Any = None


def look(logs: dict[str, Any] | None) -> None:
    FiniteLoss().on_log(ANY, TrainerState(global_step=7), ANY, logs)


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named_with_its_step(name: str, value: float) -> None:
    with pytest.raises(FloatingPointError, match=f"{name} is {value} at step 7: lower the learning rate"):
        look({"learning_rate": 0.1, name: value})


def test_other_lines_pass() -> None:
    look({"loss": 2.5, "grad_norm": 1.0})
    look({"router_cv2": 0.5})
    look(None)
