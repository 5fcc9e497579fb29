"""Neurons go where their importance lies."""

from collections.abc import Callable
from typing import Any

import torch

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits import SplitInput, partition
from sparsebench.models.moe.splits.by_importance import scores
from sparsebench.models.moe.splits.transport import LEAST, affinity


def config(**fields: Any) -> MoEConfig:
    return MoEConfig(**({"num_experts": 4, "split": "transport", "importance": "activation"} | fields))


def test_affinities_are_fractions_of_importance(ffn_input: Callable[..., SplitInput]) -> None:
    given = config(clusters="tokens", router_init="centroids")
    score_NF, _ = scores(ffn_input(given))
    found_FN, centroids = affinity(ffn_input(given))
    wanted_FN = (score_NF / score_NF.sum(0)).T.clamp_min(LEAST)
    torch.testing.assert_close(found_FN.exp(), wanted_FN)
    assert centroids is not None and centroids.shape == (4, 12)
    assert affinity(ffn_input(config()))[1] is None


def test_more_importance_stays_in_its_cluster_than_at_random(ffn_input: Callable[..., SplitInput]) -> None:
    given = config(clusters="tokens")
    score_NF, _ = scores(ffn_input(given))
    parts = partition(ffn_input(given))
    owned = sum(float(score_NF[expert, neurons].sum()) for expert, neurons in enumerate(parts.experts))
    assert owned > 1.2 * float(score_NF.sum()) / 4
