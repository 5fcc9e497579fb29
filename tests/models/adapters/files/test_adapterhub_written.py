"""Configurations of ours that AdapterHub's library cannot say; those that it can are in `test_adapterhub_config.py`."""

from collections.abc import Callable
from typing import Any

import pytest

from sparsebench.models.adapters import AdapterConfig, BottleneckConfig, CombinedConfig, LoRAConfig, SSFConfig
from sparsebench.models.adapters.files.adapterhub_config import read_config
from sparsebench.models.adapters.files.adapterhub_written import written_config
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.anatomy import Anatomy, describe
from sparsebench.models.errors import ModelError


def combined(*parts: AdapterConfig) -> CombinedConfig:
    return CombinedConfig(parts=parts)


@pytest.fixture(scope="module")
def anatomies(build: Callable) -> dict[str, Anatomy]:
    return {family: describe(build(family)) for family in ("bert", "vit")}


@pytest.mark.parametrize(
    ("family", "config", "message"),
    [
        ("vit", BottleneckConfig(placement="parallel"), r"placement='parallel'\) is no function .* residual stream"),
        ("vit", StreamConfig(placement="shared"), "placement='shared'"),
        ("bert", BottleneckConfig(bias=False, dropout=0.1), r"bias=False, dropout=0.1: .* no bottleneck like this"),
        ("bert", BottleneckConfig(norm="out", scale=2), "norm='out' with scale=2"),
        ("bert", LoRAConfig(targets=("o",)), "LoRA on q, k, v, up and down only"),
        ("bert", SSFConfig(), "SSFConfig has no counterpart"),
        ("bert", combined(LoRAConfig(r=2), LoRAConfig(r=4, targets=("up",))), "several parts are lora: .* one of each"),
        ("vit", combined(BottleneckConfig(), StreamConfig(placement="ffn")), "several parts are bottleneck"),
        ("bert", combined(LoRAConfig(), combined(BottleneckConfig())), "no union within a union"),
    ],
)
def test_what_the_library_cannot_say_is_refused(
    family: str, config: Any, message: str, anatomies: dict[str, Anatomy]
) -> None:
    with pytest.raises(ModelError, match=message):
        written_config(config, anatomies[family])


def test_any_width_can_be_said(anatomies: dict[str, Anatomy]) -> None:
    for r in range(1, 33):
        config = BottleneckConfig(r=r)
        assert read_config(written_config(config, anatomies["bert"]), anatomies["bert"], {}) == config
