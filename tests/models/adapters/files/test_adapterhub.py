"""Files of AdapterHub's library, with the outputs that it computed: read, equal; written, the same bits."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sparsebench.models.adapters import BottleneckConfig, CombinedConfig, LoRAConfig, PrefixConfig, attach, sparsify
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.adapters.files.adapterhub import load_adapterhub, save_adapterhub
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ...oracles.oracle import difference
from ..conftest import noise
from .adapterhub_tools import CASES, NEAR, ORACLE, body, logits, stored, written_bodies

KINDS: dict[str, AdapterConfig] = {
    "bert.houlsby": BottleneckConfig(r=2, placement="houlsby", activation="silu", train_head=False),
    "vit.pfeiffer": StreamConfig(r=2, placement="after", activation="relu", scale=1.0, train_head=False),
    "bert.last": BottleneckConfig(r=2, activation="relu", norm="in", blocks=1, train_head=False),
    "vit.lora": LoRAConfig(r=2, alpha=5, targets=("q", "k", "v", "up", "down"), train_head=False),
}


PARALLEL = BottleneckConfig(r=3, placement="parallel", scale=2)


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return written_bodies(tmp_path_factory.mktemp("bodies"))


@pytest.mark.parametrize("case", CASES)
def test_their_files_give_their_outputs_and_come_out_again(
    case: str, bodies: Mapping[str, Path], tmp_path: Path
) -> None:
    family, name = case.split(".")
    model = body(bodies, family)
    agree(logits(model, family), ORACLE[f"{family}.plain"], "logits", within=NEAR)
    adapters = load_adapterhub(model, stored(tmp_path / "theirs", case))
    assert adapters.name == name and adapters.heads == ()
    assert KINDS.get(case, adapters.config) == adapters.config
    found, expected = logits(model, family), ORACLE[f"{case}.logits"]
    agree(found, expected, "logits", within=NEAR)
    assert difference(found, ORACLE[f"{family}.plain"]) > 10 * NEAR
    save_adapterhub(adapters, tmp_path / "ours")
    written = torch.load(tmp_path / "ours" / "pytorch_adapter.bin")
    copies = {key for key in written if ".prefix_tuning.pool." in key}
    recorded = ORACLE.below(f"{case}.file.")
    assert written.keys() - copies == recorded.keys() and bool(copies) == any("prefix" in key for key in recorded)
    for key, value in recorded.items():
        agree(written[key], value, "tensors", where=key)
    about = json.loads((tmp_path / "ours" / "adapter_config.json").read_text())
    assert about.keys() == ORACLE.about[case].keys()
    for field in about.keys() - {"config", "model_name"}:
        assert about[field] == ORACLE.about[case][field], field
    again = body(bodies, family)
    assert load_adapterhub(again, tmp_path / "ours").config == adapters.config
    agree(logits(again, family), found, "logits")


def test_safe_tensors_heads_and_pruned_weights(bodies: Mapping[str, Path], tmp_path: Path) -> None:
    model = body(bodies, "bert")
    parts = (PARALLEL, PrefixConfig(length=2))
    adapters = attach(model, CombinedConfig(parts=parts), "mine")
    noise(adapters.parameters())
    sparsify(adapters, method="magnitude", sparsity=0.5)
    save_adapterhub(adapters, tmp_path)
    head = torch.load(tmp_path / "pytorch_model_head.bin")
    assert head.keys() == {"classifier.weight", "classifier.bias"} and (tmp_path / "head_config.json").is_file()
    save_file(torch.load(tmp_path / "pytorch_adapter.bin"), tmp_path / "adapter.safetensors")
    (tmp_path / "pytorch_adapter.bin").unlink()
    again = body(bodies, "bert")
    loaded = load_adapterhub(again, tmp_path, "theirs")
    assert loaded.name == "theirs" and len(loaded.heads) == 1
    assert torch.equal(logits(again, "bert"), logits(model, "bert"))
    without = load_adapterhub(body(bodies, "bert"), tmp_path, with_head=False)
    assert without.heads == ()
    torch.save({"heads.mine.1.weight": torch.ones(1)}, tmp_path / "pytorch_model_head.bin")
    with pytest.raises(ModelError, match=r"has a head with heads.mine.1.weight, which this BertFor"):
        load_adapterhub(body(bodies, "bert"), tmp_path)


def test_lora_of_versions_that_left_alpha_out(bodies: Mapping[str, Path], tmp_path: Path) -> None:
    folder = stored(tmp_path / "old", "bert.lora")
    about = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(about | {"version": "adapters.1.0.1"}))
    adapters = load_adapterhub(body(bodies, "bert"), folder)
    assert isinstance(adapters.config, LoRAConfig) and adapters.config.scaling == 1


def test_files_that_are_damaged_or_of_another_model(bodies: Mapping[str, Path], tmp_path: Path) -> None:
    model = body(bodies, "bert")
    before = [name for name, _ in model.named_modules()]
    whole = ORACLE.below("bert.houlsby.file.")
    key = "bert.encoder.layer.1.output.adapters.houlsby.adapter_up.weight"
    less = {name: value for name, value in whole.items() if name != key}
    folder = stored(tmp_path / "damaged", "bert.houlsby")
    for tensors, message in (
        (less, "ffn of block 1 has no adapter_up.weight"),
        (whole | {key: torch.ones(8, 3)}, r"has shape \(8, 3\), not \(8, 2\)"),
        (
            whole | {key.replace("up.weight", "up.more"): torch.ones(1)},
            "up.more at ffn of block 1 is left over",
        ),
        (whole | {"bert.pooler.weight": torch.ones(1)}, "bert.pooler.weight has no place in a bert"),
        ({"a": {"b": torch.ones(1)}}, "more than tensors"),
        ({"a": folder}, "cannot be read"),
    ):
        torch.save(tensors, folder / "pytorch_adapter.bin")
        with pytest.raises(ModelError, match=message):
            load_adapterhub(model, folder)
    (folder / "pytorch_adapter.bin").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read"):
        load_adapterhub(model, folder)
    with pytest.raises(ModelError, match="holds adapters of a vit, not of a bert"):
        load_adapterhub(model, stored(tmp_path / "vit", "vit.houlsby"))
    assert [name for name, _ in model.named_modules()] == before
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_sets_that_the_library_has_no_place_for(bodies: Mapping[str, Path], build, tmp_path: Path) -> None:
    adapters = attach(body(bodies, "bert"), BottleneckConfig(r=2))
    layer = next(iter(adapters.prunable().values()))
    layer.select(0, torch.tensor([0]))
    with pytest.raises(ModelError, match="has lost units"):
        save_adapterhub(adapters, tmp_path / "out")
    with pytest.raises(ModelError, match="read and written for bert, roberta, vit, not for llama"):
        save_adapterhub(attach(build("llama"), LoRAConfig(r=2)), tmp_path / "out")
    adapters.remove()
    with pytest.raises(ModelError, match="not on the model"):
        save_adapterhub(adapters, tmp_path / "out")
    twice = attach(body(bodies, "bert"), CombinedConfig(parts=(BottleneckConfig(r=2), PARALLEL)))
    with pytest.raises(ModelError, match="several parts are bottleneck"):
        save_adapterhub(twice, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_order_of_parts_stays(bodies: Mapping[str, Path], tmp_path: Path) -> None:
    """What lies outside may come first: a prefix before the LoRA in its attention."""
    model = body(bodies, "bert")
    parts = (PrefixConfig(length=2), LoRAConfig(r=2, alpha=3), PARALLEL)
    adapters = attach(model, CombinedConfig(parts=parts, train_head=False), "mine")
    noise(adapters.parameters())
    save_adapterhub(adapters, tmp_path)
    again = body(bodies, "bert")
    loaded = load_adapterhub(again, tmp_path)
    assert isinstance(loaded.config, CombinedConfig)
    assert [type(part) for part in loaded.config.parts] == [PrefixConfig, LoRAConfig, BottleneckConfig]
    assert torch.equal(logits(again, "bert"), logits(model, "bert"))
