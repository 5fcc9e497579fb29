"""Workers, memory and accelerators; the number of devices is made up, since most machines have none."""

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution import placement
from sparsebench.suites.runner.execution.placement import accelerators, default_memory, default_workers

GIB = 1 << 30


@pytest.fixture
def machine(monkeypatch):
    """Sets cores, GiB of memory and devices."""

    def build(cores: int, gib: int, devices: int) -> None:
        monkeypatch.setattr(placement, "cores", lambda: cores)
        monkeypatch.setattr(placement, "memory_bytes", lambda: gib * GIB)
        monkeypatch.setattr(placement, "device_count", lambda: devices)
        monkeypatch.setattr(placement, "device_kind", lambda: "cuda" if devices else "cpu")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return build


def test_on_the_processor_cores_and_memory_decide(machine) -> None:
    machine(cores=16, gib=64, devices=0)
    assert default_workers(1) == 16
    assert default_workers(4) == 4
    machine(cores=16, gib=7, devices=0)
    assert default_workers(1) == 2
    assert default_workers(10_000) == 1


def test_one_worker_for_each_accelerator(machine) -> None:
    machine(cores=16, gib=64, devices=1)
    assert default_workers(1) == 1
    machine(cores=16, gib=64, devices=4)
    assert default_workers(1) == 4
    assert default_workers(1, "cuda:2") == 1
    assert default_workers(1, "cpu") == 16


def test_accelerators_by_the_names_that_the_user_left_visible(machine, monkeypatch) -> None:
    machine(cores=16, gib=64, devices=2)
    assert accelerators() == ["0", "1"]
    assert accelerators("cuda:1") == ["1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-7")
    assert accelerators("cuda") == ["5", "GPU-7"]
    assert accelerators("cuda:1") == ["GPU-7"]


@pytest.mark.parametrize("device", ["cuda:2", "cuda:x"])
def test_an_accelerator_that_there_is_not(machine, device: str) -> None:
    machine(cores=16, gib=64, devices=2)
    with pytest.raises(UsageError, match="there are: cuda:0, cuda:1"):
        accelerators(device)


def test_workers_share_nine_tenths_of_the_memory(machine) -> None:
    machine(cores=16, gib=100, devices=0)
    assert default_memory(9) == 10 * GIB
    assert default_memory(90) == 4 * GIB
