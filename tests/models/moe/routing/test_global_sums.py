"""Two gloo processes against one: `balanced_processes.py`."""

from typing import Any

import pytest
import torch

from sparsebench.models.moe.routing.global_sums import global_sums, several_processes

from ....gloo import run_program
from . import balanced_processes as work

Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("balanced")
    run_program("tests.models.moe.routing.balanced_processes", folder, 240)
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("cut", work.PARTS)
@pytest.mark.parametrize("name", work.LOSSES)
def test_loss_and_gradient_are_those_of_one_process(name: str, cut: str, processes: Found) -> None:
    """Also where the parts are unequal, and where a process has no token at all."""
    whole, gradient = work.loss_of_part(work.LOSSES[name], slice(None), 1.0)
    parts = [process[f"{name}, {cut}"] for process in processes]
    assert [part[0] for part in parts] == pytest.approx([whole] * 2, rel=1e-12)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), gradient, rtol=1e-9, atol=1e-14)
    if name != "switch, faithful":
        assert gradient.norm() > 1e-3


@pytest.mark.parametrize("name", work.MIXTURES)
def test_training_by_ddp_is_that_of_one_process(name: str, processes: Found) -> None:
    """Twenty steps on few tokens, so that most experts are idle in a process: nobody waits for ever."""
    one = work.trained(work.MIXTURES[name], None)
    first, second = (process[f"trained {name}"] for process in processes)
    assert torch.equal(first["losses"][:, 1], second["losses"][:, 1]), "the balance loss is one for all"
    together = (first["losses"] + second["losses"]) / 2
    torch.testing.assert_close(together, one["losses"], rtol=1e-10, atol=1e-12)
    for key, value in one["state"].items():
        torch.testing.assert_close(first["state"][key], value, rtol=1e-9, atol=1e-12, msg=key)
        assert torch.equal(first["state"][key], second["state"][key]), key


def test_a_single_process_has_its_own_sums() -> None:
    assert not several_processes()
    x = torch.ones(3, requires_grad=True)
    assert global_sums(x)[0] is x
