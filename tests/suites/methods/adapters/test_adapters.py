"""Base of the methods that are one set of adapters, and the kinds that can be pruned."""

from typing import Any, get_args

import pytest
import torch

from sparsebench.models.adapters import CombinedConfig, attach
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.methods.adapters._adapters import Kind, prunable
from sparsebench.suites.methods.adapters.convpass import Convpass
from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.vtab.backbones import timm, tiny
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from ...reasons import reason

FIELDS: dict[str, Any] = {"rank": 4, "init": "normal", "blocks": "all", "seed": 3, "train_head": True}


def model(load: Any = tiny.load, argument: str | None = None) -> LinearHeadModel:
    generator = torch.Generator().manual_seed(0)
    return LinearHeadModel(load(generator, argument), 3, generator)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_attaches_with_the_wanted_rank_and_seed(kind: Kind) -> None:
    backbone = model()
    config = prunable(kind, backbone, **FIELDS)
    assert config.seed == 3
    part = config.parts[-1] if isinstance(config, CombinedConfig) else config
    assert part.r == 4  # type: ignore[attr-defined]
    attach(backbone, config, "default")
    assert backbone(torch.zeros(2, 3, 16, 16)).shape == (2, 3)


def test_adapters_for_images_need_image_tokens() -> None:
    method = Convpass()
    wanted = "the backbone is an encoder: it does not see an image as tokens"
    assert reason(Blobs, "llm", "minilm_l6", method) == wanted
    assert reason(Blobs, "vtab", "tiny", method) is None
    with pytest.raises(NotApplicable, match="image as tokens"):
        method.prepare(model(timm.load, "tf_efficientnet_lite0"), Context(suite="vtab", task="t", seed=0))
