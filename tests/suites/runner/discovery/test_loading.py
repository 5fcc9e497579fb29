"""Methods, tasks, backbones and budgets as objects."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.runner.discovery.loading import (
    NoSmallerError,
    backbone_loader,
    budget_fields,
    load_budget,
    load_method,
    smaller_backbone,
)
from sparsebench.suites.runner.discovery.registry import find
from sparsebench.suites.runner.errors import UsageError


def test_a_whole_training_part_is_not_written_into_the_budget_so_that_old_keys_stay() -> None:
    assert budget_fields(Budget()).keys() == {"epochs", "batch_size", "test_examples", "calibration_examples"}
    few = load_budget({"epochs": 3}, {"train_fraction": 0.1})
    assert budget_fields(few)["train_fraction"] == 0.1 and Budget(**budget_fields(few)) == few
    narrow = load_budget({"calibration_domains": ["code"]})
    assert budget_fields(narrow)["calibration_domains"] == ("code",) and "calibration_domains" not in budget_fields(few)
    watched = load_budget({"watch": ["test", "adapters"]})
    assert budget_fields(watched)["watch"] == ("test", "adapters") and Budget(**budget_fields(watched)) == watched
    with pytest.raises(UsageError, match="watch"):
        load_budget({"watch": ["tests"]})
    assert "doublings" not in budget_fields(load_budget({"doublings": 2})), "it says nothing without `rest`"
    rested = load_budget({"epochs": 3, "rest": 0.01}, {"doublings": 2})
    assert budget_fields(rested)["rest"] == 0.01 and Budget(**budget_fields(rested)) == rested
    with pytest.raises(UsageError, match=r"train_fraction=0\.0 must lie in"):
        load_budget({"train_fraction": 0})


def test_a_duration_in_another_unit_takes_the_place_of_the_one_before() -> None:
    budget = load_budget({"epochs": 8, "batch_size": 4}, {"steps": 100})
    assert budget == Budget(steps=100, batch_size=4)
    assert "epochs" not in budget_fields(budget) and Budget(**budget_fields(budget)) == budget
    assert load_budget({"steps": 100}, {"batch_size": 4}) == budget
    with pytest.raises(UsageError, match="one of epochs, steps and tokens"):
        load_budget({"epochs": 8, "tokens": 100})


def test_a_config_of_the_wrong_type_names_the_method() -> None:
    assert load_method(find("method", "lora"), {"rank": 3}).rank == 3  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="method 'lora': rank is 'many'"):
        load_method(find("method", "lora"), {"rank": "many"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"choose": "rank", "among": [4.0]}, "'rank' is none of learning_rate, weight_decay, warmup"),
        ({"choose": "learning_rate"}, "go together"),
    ],
)
def test_an_option_that_training_cannot_choose_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"method 'adapter': choose: .*{message}"):
        load_method(find("method", "adapter"), config)


def test_what_stands_behind_the_colon_is_the_backbones_argument() -> None:
    entry = find("backbone", "gin:16x2", "molecules")
    body = backbone_loader(entry, "gin:16x2")(torch.Generator().manual_seed(0))
    assert body.width == 16
    with pytest.raises(ValueError, match="wants width x layers"):
        backbone_loader(entry, "gin:16")(torch.Generator())


def test_the_smaller_of_a_pair_has_the_same_argument(tmp_path: Path) -> None:
    pairs = {
        "vit_tiny_b": "vit_tiny_s",
        "efficientnet_lite2:64": "efficientnet_lite0:64",
        "timm:vit_base_patch16_224:96": "timm:vit_small_patch16_224:96",
    }
    for name, smaller in pairs.items():
        assert smaller_backbone(find("backbone", name, "vtab"), name) == smaller
    for name, why in {
        "vit_tiny_s": "vit_tiny_s names no smaller backbone to go beside it: say which",
        "timm:resnet18": "timm:resnet18 has no smaller network to go beside it: say which",
        f"timm:vit_base_patch16_224@{tmp_path}/B_16.npz": "one .npz file called small or S_16, the weights of the",
    }.items():
        with pytest.raises(NoSmallerError, match=re.escape(why)):
            smaller_backbone(find("backbone", name, "vtab"), name)
