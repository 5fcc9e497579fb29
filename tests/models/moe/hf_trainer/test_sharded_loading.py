"""FSDP2, expert parallelism and both on the stock export, against one process; our own: `moe/two_processes.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert, export
from sparsebench.models.moe.hf_trainer.sharded_loading import load_sharded

from .processes import FEW, IDLE, STEPS, STOCK

Found = Callable[[], Any]


def assert_same(found: dict[str, Any], alone: dict[str, Any]) -> None:
    """In as many steps as were taken."""
    steps = len(found["losses"])
    assert found["losses"] == pytest.approx(alone["losses"][:steps], abs=1e-5)
    for here, there in zip(found["routers"], alone["routers"][:steps], strict=True):
        assert here.keys() == there.keys()
        for name, gradient in here.items():
            torch.testing.assert_close(gradient, there[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", list(STOCK))
def test_losses_and_router_gradients_are_those_of_one_process(processes: Found, case: str) -> None:
    """The balance loss, over a quarter of what trains the routers here, is one of all tokens of all processes."""
    found = processes().of(case)
    alone = processes().of("one process, busy")
    assert len(found["losses"]) == (STEPS if STOCK[case][0] == 2 else FEW)
    assert max(gradient.abs().max() for gradient in found["routers"][0].values()) > 1e-3
    assert_same(found, alone)


def test_parameters_are_shared_out(processes: Found) -> None:
    """FSDP2 halves everything, expert parallelism the experts alone."""
    found = processes()
    experts = 2 * 4 * 3 * 32 * 16
    for case, shares in (("fsdp", 2), ("both", 2), ("both, two copies", 4), ("two replicas", 2)):
        data = found.of(case)
        assert data["mine"] == data["all"] / shares
    data = found.of("experts")
    assert data["mine"] == data["all"] - experts / 2


@pytest.mark.parametrize("case", IDLE)
def test_idle_experts_do_not_hang(processes: Found, case: str) -> None:
    """No token of any process goes to the experts that the second one has."""
    assert_same(processes().of(f"idle, {case}"), processes().of("one process, idle"))


def test_trainer_takes_a_sharded_model(processes: Found) -> None:
    """With both callbacks: the losses, and the loads of all processes."""
    alone = processes().of("one process, trainer")["log"]
    found = processes().of("trainer")["log"]
    assert len(found) == len(alone) == 13
    for here, there in zip(found[:-1], alone[:-1], strict=True):
        assert here.keys() == there.keys()
        for name, value in here.items():
            assert value == pytest.approx(there[name], abs=1e-5), name


def test_what_was_trained_sharded_is_a_stock_checkpoint(processes: Found) -> None:
    """Written by all processes together; the weights are those of one process up to rounding."""
    found = processes()
    for name in ("fsdp_size2", "ep_size2", "fsdp_size2-ep_size2"):
        state = AutoModelForCausalLM.from_pretrained(found.folder / "saved" / name).state_dict()
        expected = found.of("one process, busy")["weights"]
        assert state.keys() == expected.keys()
        for key, value in state.items():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-5, msg=lambda text, key=key: key + text)


def test_one_process_takes_the_model_whole(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    export(convert(build("llama"), MoEConfig(num_experts=4)), tmp_path / "stock")
    model = load_sharded(tmp_path / "stock", dtype=torch.bfloat16)
    assert model.training
    assert type(model).__name__ == "MixtralForCausalLM"
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("sizes", "started", "message"),
    [
        ({"ep_size": 3}, 3, r"ep_size=3 cannot share out 4 experts evenly: take a divisor of 4"),
        ({"fsdp_size": 6, "ep_size": 4}, 6, r"ep_size=4 must divide fsdp_size=6"),
        ({"fsdp_size": 2}, 1, r"take 2 processes, but 1 were started: torchrun --nproc-per-node 2"),
        ({"ep_size": 2}, 8, r"take 2 processes, but 8 were started"),
        ({"fsdp_size": 2, "replicas": 2}, 2, r"take 4 processes, but 2 were started"),
        ({"replicas": 2}, 2, r"replicas=2 are copies of sharded models: set fsdp_size"),
        ({"fsdp_size": 0}, 1, r"fsdp_size=0 must be 1 or more"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    build: Callable[[str], nn.Module],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sizes: dict[str, int],
    started: int,
    message: str,
) -> None:
    export(convert(build("llama"), MoEConfig(num_experts=4)), tmp_path / "stock")
    monkeypatch.setenv("WORLD_SIZE", str(started))
    with pytest.raises(ModelError, match=message):
        load_sharded(tmp_path / "stock", **sizes)


def test_other_folders_are_refused(build: Callable[[str], Any], tmp_path: Path) -> None:
    convert(build("llama"), MoEConfig(num_experts=4)).save_pretrained(tmp_path / "own")
    build("llama").save_pretrained(tmp_path / "dense")
    with pytest.raises(ModelError, match=r"in our own format: export\(model, path\) writes a stock one"):
        load_sharded(tmp_path / "own")
    with pytest.raises(ModelError, match="holds a llama without experts"):
        load_sharded(tmp_path / "dense")
    (tmp_path / "dense" / "config.json").write_text('{"model_type": "mixtral", "scale_factor": 4.0}')
    with pytest.raises(ModelError, match=r"LLaMA-MoE v2, .*`sparsebench import"):
        load_sharded(tmp_path / "dense")
    with pytest.raises(ModelError, match=r"has no config.json: write it with export\(model, path\)"):
        load_sharded(tmp_path / "nothing")
