"""Settings of AdapterHub's library that are a function of ours, and those that are none."""

from collections.abc import Callable
from typing import Any

import pytest

from sparsebench.models.adapters import BottleneckConfig, LoRAConfig, PrefixConfig
from sparsebench.models.adapters.files.adapterhub_config import read_config
from sparsebench.models.adapters.files.adapterhub_written import written_config
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.anatomy import Anatomy, describe
from sparsebench.models.errors import ModelError

PFEIFFER = {
    "mh_adapter": False,
    "output_adapter": True,
    "original_ln_before": True,
    "original_ln_after": True,
    "residual_before_ln": True,
    "reduction_factor": 8,
    "non_linearity": "relu",
}
LORA = {"architecture": "lora", "r": 2, "alpha": 4, "selfattn_lora": True, "attn_matrices": ["q"]}
PREFIX = {"architecture": "prefix_tuning", "prefix_length": 2, "bottleneck_size": 3, "flat": False}


@pytest.fixture(scope="module")
def anatomies(build: Callable) -> dict[str, Anatomy]:
    return {family: describe(build(family)) for family in ("bert", "vit")}


@pytest.mark.parametrize(
    ("family", "config", "expected"),
    [
        ("bert", PFEIFFER, BottleneckConfig(r=4, placement="pfeiffer", activation="relu")),
        ("vit", PFEIFFER, StreamConfig(r=4, placement="after", activation="relu", scale=1.0)),
        (
            "vit",
            PFEIFFER | {"original_ln_after": False, "residual_before_ln": False, "scaling": "channel"},
            StreamConfig(r=4, placement="after", activation="relu", scale="channel"),
        ),
        (
            "bert",
            PFEIFFER | {"original_ln_before": False, "ln_after": True, "reduction_factor": {"1": 8, "default": 7.5}},
            BottleneckConfig(r=4, activation="relu", norm="out"),
        ),
        ("vit", LORA | {"leave_out": [0]}, LoRAConfig(r=2, alpha=4, targets=("q",), blocks=1)),
        ("bert", PREFIX, PrefixConfig(length=2, bottleneck=3)),
    ],
)
def test_what_is_the_same_function(family: str, config: Any, expected: Any, anatomies: dict[str, Anatomy]) -> None:
    anatomy = anatomies[family]
    assert read_config(config, anatomy, {}) == expected
    assert read_config(written_config(expected, anatomy), anatomy, {}) == expected


@pytest.mark.parametrize(
    ("family", "config", "message"),
    [
        ("bert", "pfeiffer", "is a name of settings"),
        ("bert", PFEIFFER | {"phm_layer": True}, "phm_layer=True has no counterpart"),
        ("bert", PFEIFFER | {"use_gating": True}, "use_gating=True"),
        ("bert", PFEIFFER | {"inv_adapter": "nice"}, "inv_adapter='nice'"),
        ("bert", PFEIFFER | {"dropout": 0.1}, "dropout=0.1 acts at another place"),
        ("bert", PFEIFFER | {"non_linearity": "leakyrelu"}, "non_linearity='leakyrelu'"),
        ("bert", PFEIFFER | {"residual_before_ln": False}, "no bottleneck here is this function"),
        ("bert", PFEIFFER | {"mh_adapter": True}, "no bottleneck here is this function"),
        ("bert", PFEIFFER | {"scaling": "channel"}, "scaling='channel': no bottleneck"),
        ("bert", PFEIFFER | {"ln_after": True, "scaling": 2.0}, "ln_after=True with"),
        ("vit", PFEIFFER | {"ln_before": True}, "adapters on the residual stream"),
        ("bert", PFEIFFER | {"leave_out": [1]}, r"leave_out=\[1\]"),
        ("bert", PFEIFFER | {"reduction_factor": {"0": 8, "default": 2}}, "of different widths"),
        ("bert", PFEIFFER | {"reduction_factor": {"0": 8}}, "does not say the width for each block"),
        ("bert", LORA | {"composition_mode": "scale"}, "composition_mode='scale'"),
        ("bert", LORA | {"use_dora": True}, "use_dora=True"),
        ("bert", PREFIX | {"non_linearity": "relu"}, "of a prefix has no counterpart here"),
        ("bert", {"architecture": "reft"}, "architecture='reft'"),
        ("bert", {"architecture": "union", "configs": [{"architecture": "union"}]}, "a union within a union"),
    ],
)
def test_what_is_another_function_is_refused(
    family: str, config: Any, message: str, anatomies: dict[str, Anatomy]
) -> None:
    with pytest.raises(ModelError, match=message):
        read_config(config, anatomies[family], {})
