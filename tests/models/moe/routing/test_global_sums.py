"""Two gloo processes against one: `balanced_processes.py`."""

import copy
import pickle
from typing import Any

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.routing.global_sums import Together, balance_together

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


def test_a_process_that_looks_alone_waits_for_nobody(processes: Found) -> None:
    """Without gradients, and with them but without a backward pass; a loss that another process does not make."""
    assert all(process["alone"] > 0 for process in processes)


def test_an_attached_loss_has_the_gradient_of_one_process(processes: Found) -> None:
    """The mean that DDP takes, of micro-batches that are added up; neither rank has the same number of tokens."""
    one = work.attached_gradients(None)
    for process in processes:
        assert process["attached"].keys() == one.keys()
        for name, gradient in one.items():
            torch.testing.assert_close(process["attached"][name], gradient, rtol=1e-9, atol=1e-13, msg=name)


def test_two_models_do_not_mix(processes: Found) -> None:
    """One after the other, in each process its part; and one in each process, with "own"."""
    first_a, first_b, own_a = processes[0]["two models"]
    second_a, second_b, own_b = processes[1]["two models"]
    whole_a, whole_b, *alone = work.two_models(None)
    torch.testing.assert_close((first_a + second_a) / 2, whole_a, rtol=1e-9, atol=1e-14)
    torch.testing.assert_close((first_b + second_b) / 2, whole_b, rtol=1e-9, atol=1e-14)
    for found, expected in zip((own_a, own_b), alone, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
        assert found.norm() > 1e-4


def test_a_single_process_has_its_own_sums() -> None:
    together = Together()
    assert not together.several()
    x = torch.ones(3, requires_grad=True)
    assert together.sum(x)[0] is x
    loss = together.loss(torch.sum, x)
    assert loss.grad_fn is not None and loss.grad_fn.name() == "SumBackward0"


def test_whose_tokens_count_is_kept_by_copies_and_refused_where_it_is_nothing() -> None:
    net = work.Net(work.config(balance="bias"))
    balance_together(net, "own")
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net.layers[0].router))):
        kept = [module.together.group for module in twin.modules() if hasattr(module, "together")]
        assert len(kept) >= 2 and set(kept) == {"own"}
    assert pickle.loads(pickle.dumps(Together(object()))).group == "all"
    group: Any
    for group in ("mine", 3):
        with pytest.raises(ModelError, match=f"group={group!r} must be 'all', 'own' or a process group"):
            balance_together(net, group)
    with pytest.raises(ModelError, match="Linear has no router of ours to balance"):
        balance_together(torch.nn.Linear(2, 2), "own")
