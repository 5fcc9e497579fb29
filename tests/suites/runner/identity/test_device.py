"""The kind of device is what torch would say."""

import ctypes

import pytest
import torch

from sparsebench.suites.runner.identity import device
from sparsebench.suites.runner.identity.device import device_kind


@pytest.fixture(autouse=True)
def fresh():
    device_kind.cache_clear()
    yield
    device_kind.cache_clear()


def test_as_torch_says() -> None:
    assert device_kind() == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device._builds()["__version__"] == torch.__version__


class Driver:
    def __init__(self, devices: int, status: int = 0) -> None:
        self.devices, self.status = devices, status

    def cuInit(self, flags: int) -> int:  # noqa: N802 - the driver's name
        return self.status

    def cuDeviceGetCount(self, count) -> int:  # noqa: N802 - the driver's name
        count._obj.value = self.devices
        return self.status


@pytest.mark.parametrize(
    ("cuda", "driver", "kind"),
    [
        (None, Driver(1), "cpu"),
        ("12.8", Driver(2), "cuda"),
        ("12.8", Driver(0), "cpu"),
        ("12.8", Driver(1, status=100), "cpu"),
        ("12.8", None, "cpu"),
    ],
)
def test_torch_built_for_a_device_and_a_driver_that_shows_one(monkeypatch, cuda, driver, kind: str) -> None:
    def load(name: str) -> Driver:
        if driver is None:
            raise OSError("no such library")
        return driver

    monkeypatch.setattr(device, "_builds", lambda: {"cuda": cuda, "hip": None})
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert device_kind() == kind
