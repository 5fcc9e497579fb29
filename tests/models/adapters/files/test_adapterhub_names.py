"""Names of tensors of AdapterHub's library; whole files are in `test_adapterhub.py`."""

import pytest
import torch

from sparsebench.models.adapters.files.adapterhub_names import Part, parts_of, path_of
from sparsebench.models.errors import ModelError

ONE = torch.ones(1)


def test_a_name_there_and_back() -> None:
    for kind in ("bert", "roberta", "vit"):
        for part in ("attention", "ffn", "q", "down"):
            place = Part(3, part, "adapter_up.weight")
            found, prefix = parts_of({f"body.{path_of(place, kind, 'mine')}": ONE}, kind, "mine")
            assert found == {place: ONE} and prefix == {}


def test_names_of_the_first_versions() -> None:
    key = "bert.encoder.layer.11.output.layer_text_task_adapters.sst.adapter_down.0.bias"
    found, _ = parts_of({key: ONE}, "bert", "sst")
    assert list(found) == [Part(11, "ffn", "adapter_down.0.bias")]


def test_copies_of_a_prefix_are_one() -> None:
    names = [f"encoder.layer.{i}.attention.self.prefix_tuning.pool.prefix_tunings.a.self_prefix.wte" for i in (0, 1)]
    found, prefix = parts_of(dict.fromkeys(names, ONE), "bert", "a")
    assert found == {} and prefix == {"wte": ONE}
    with pytest.raises(ModelError, match="differs from what other blocks hold"):
        parts_of({names[0]: ONE, names[1]: 2 * ONE}, "bert", "a")


def test_names_without_a_place_are_refused() -> None:
    for key in ("encoder.layer.0.output.adapters.other.adapter_up.bias", "invertible_adapters.mine.F.0.weight"):
        with pytest.raises(ModelError, match=f"{key} has no place in a bert"):
            parts_of({key: ONE}, "bert", "mine")
