"""Settings of every test run: drawn examples are the same each time, and workers share the cores."""

import os
from pathlib import Path

WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    # Before torch is imported; programs that tests start inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))

# Numbers that tests compare must not hang on a clock; tests of measured forms ask for them.
os.environ.setdefault("SPARSEBENCH_FORMS", "rules")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from .built_wheel import WEIGHTS, build_wheel  # noqa: E402
from .tiers.plugin import TIERS, Tier  # noqa: E402

settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.load_profile("fixed")

SMALL_BY_DESIGN = (
    "ignore:fewer calibration tokens than a quarter of the inputs:UserWarning",
    "ignore:no kernel multiplies:UserWarning",
)
"""What compression warns of, and tiny models with a few tokens always bring; tests of the warnings see them still."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=tuple(TIERS), help="; ".join(f"{name}: {what}" for name, what in TIERS.items()))


def pytest_configure(config: pytest.Config) -> None:
    for line in SMALL_BY_DESIGN:
        config.addinivalue_line("filterwarnings", line)
    config.pluginmanager.register(Tier(config))


@pytest.fixture(scope="session")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tracked tree."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def weights_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the weights, likewise."""
    return build_wheel(tmp_path_factory.mktemp("weights"), WEIGHTS)
