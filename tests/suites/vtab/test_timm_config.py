"""The `config.json` that timm writes beside weights decides how images are prepared, and the record says so."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models import save_for_hf

from sparsebench.data.errors import WeightsError
from sparsebench.suites.vtab.backbones.timm import load
from sparsebench.suites.vtab.body import VisionBody
from sparsebench.suites.vtab.published_protocol import preprocessing
from sparsebench.suites.vtab.timm_config import Beside, config_beside

NAME = "test_vit"
OWN = 160
OTHER = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear"}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """What timm itself writes of a network that was trained at 64 pixels with a normalisation of its own."""
    network: Any = timm.create_model(NAME, num_classes=3, img_size=64)
    network.pretrained_cfg |= OTHER | {"input_size": (3, 64, 64)}
    save_for_hf(network, str(tmp_path), safe_serialization=True)
    return tmp_path / "model.safetensors"


def opened(argument: str) -> VisionBody:
    return load(torch.Generator().manual_seed(0), argument)


def rewrite(weights: Path, **fields: Any) -> None:
    place = weights.with_name("config.json")
    written = json.loads(place.read_text())
    written["pretrained_cfg"] |= fields
    place.write_text(json.dumps(written))


def test_mean_std_size_and_interpolation_of_the_file_count(weights: Path) -> None:
    """They were those of the network's published weights, without a word."""
    body = opened(f"{NAME}@{weights}")
    assert body.size == 64 and body.interpolation.value == "bilinear"
    torch.testing.assert_close(body.mean.flatten(), torch.tensor(OTHER["mean"]) * 255)
    torch.testing.assert_close(body.std.flatten(), torch.tensor(OTHER["std"]) * 255)
    taken = "mean, std, interpolation and size of config.json beside the weights"
    said = f"{taken}, built with global_pool as config.json says"
    assert preprocessing(body) == (
        f"64 x 64, aspect ratio not kept, bilinear, no augmentation; mean 0.1 0.2 0.3, std 0.4 0.5 0.6; {said}"
    )
    weights.with_name("config.json").unlink()
    body = opened(f"{NAME}@{weights}:64")
    assert preprocessing(body) == "64 x 64, aspect ratio not kept, bicubic, no augmentation; mean 0.5, std 0.5"


@pytest.mark.parametrize(("size", "said"), [(96, ", size as given, where config.json says 64"), (64, "")])
def test_a_size_that_is_given_counts_and_a_conflict_is_said(weights: Path, size: int, said: str) -> None:
    body = opened(f"{NAME}@{weights}:{size}")
    assert body.size == size and body.network.pos_embed.shape[1] == (size // 16) ** 2 + 1
    taken = "; mean, std and interpolation of config.json beside the weights"
    assert preprocessing(body).endswith(f"{taken}{said}, built with global_pool as config.json says")


def test_fields_at_the_top_as_older_files_have_them(weights: Path) -> None:
    place = weights.with_name("config.json")
    place.write_text(json.dumps({"architecture": NAME, **OTHER, "input_size": [3, 64, 64]}))
    assert opened(f"{NAME}@{weights}").mean[1].item() == pytest.approx(0.2 * 255)


def test_the_file_of_another_network_or_library_is_left_alone(weights: Path) -> None:
    place = weights.with_name("config.json")
    of_another = {"architecture": "vit_base_patch16_224.mine", "pretrained_cfg": OTHER}
    place.write_text(json.dumps(of_another))
    body = opened(f"{NAME}@{weights}:64")
    assert body.mean[0].item() == pytest.approx(0.5 * 255)
    assert preprocessing(body).endswith(
        "config.json beside the weights is of vit_base_patch16_224.mine and was not read"
    )
    for text in ('{"model_type": "vit"}', "[]"):
        place.write_text(text)
        assert config_beside(weights, NAME, None) == Beside()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mean": [0.5, 0.5]}, "mean$"),
        ({"std": [0.5, 0.0, 0.5], "mean": ["a", 0, 0]}, "mean, std$"),
        ({"std": [float("inf")] * 3}, "std$"),
        ({"interpolation": "nearest"}, "interpolation$"),
        ({"input_size": [1, 64, 64]}, "input_size$"),
        ({"input_size": [3, 64, 32]}, "input_size, since images here are square$"),
    ],
)
def test_what_cannot_be_is_refused_with_the_file(weights: Path, fields: dict[str, Any], words: str) -> None:
    rewrite(weights, **fields)
    with pytest.raises(WeightsError, match=rf"config\.json says of images what cannot be: .*{words}"):
        opened(f"{NAME}@{weights}")


def test_no_json_is_refused_with_the_file(weights: Path) -> None:
    weights.with_name("config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json beside the weights cannot be read"):
        opened(f"{NAME}@{weights}")


def test_a_network_that_cannot_be_resized_says_its_own_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is made for 224 pixels and cannot be resized to 64: write 224 or no size"):
        opened("mixer_s32_224:64")
    assert opened("mixer_s32_224:224").size == 224


OTHERWISE: dict[str, Any] = {"global_pool": "avg", "fc_norm": False, "act_layer": "silu", "num_heads": 4}
"""Arguments that no weight shows: without them the file fits, and the network is another one."""


def same_features(body: VisionBody, network: Any) -> None:
    images = torch.randn(2, 3, OWN, OWN, generator=torch.Generator().manual_seed(1))
    network.eval().reset_classifier(0)
    with torch.no_grad():
        torch.testing.assert_close(body.network.eval()(images), network(images))


def rewrite_top(weights: Path, **fields: Any) -> None:
    place = weights.with_name("config.json")
    place.write_text(json.dumps(json.loads(place.read_text()) | fields))


def test_the_network_is_built_with_the_arguments_of_the_file(tmp_path: Path) -> None:
    """It was the network of that name with its own arguments, without a word."""
    network: Any = timm.create_model(NAME, num_classes=3, **OTHERWISE)
    save_for_hf(network, str(tmp_path), safe_serialization=True)
    body = opened(f"{NAME}@{tmp_path / 'model.safetensors'}")
    same_features(body, network)
    said = "built with global_pool, fc_norm, act_layer, num_heads as config.json says"
    assert preprocessing(body).endswith(f"of config.json beside the weights, {said}")


def test_older_files_have_the_pooling_alone(tmp_path: Path) -> None:
    network: Any = timm.create_model(NAME, num_classes=3, global_pool="avg")
    save_for_hf(network, str(tmp_path), safe_serialization=True)
    rewrite_top(tmp_path / "model.safetensors", model_args={})
    same_features(opened(f"{NAME}@{tmp_path / 'model.safetensors'}"), network)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"act_layer": "hardly"}, "timm cannot build test_vit .* with .*act_layer='hardly': KeyError: 'hardly'"),
        ({"layers_of_old": 3}, "timm cannot build test_vit .*unexpected keyword argument 'layers_of_old'"),
        ({"pretrained": True, "checkpoint_path": "x"}, "no argument of a network: checkpoint_path, pretrained$"),
        (["avg"], "says of the network what cannot be: model_args$"),
    ],
)
def test_what_timm_cannot_build_is_refused_in_a_line(weights: Path, arguments: Any, words: str) -> None:
    rewrite_top(weights, model_args=arguments)
    with pytest.raises(WeightsError, match=words) as refused:
        opened(f"{NAME}@{weights}")
    assert "\n" not in str(refused.value)
