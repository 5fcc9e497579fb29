"""Folders for others: what is written, what opens it, and what is refused before anything is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, MixtralConfig, MixtralForCausalLM

from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.quantisation import Grid, QuantiseConfig, quantise
from sparsebench.models.compression.trimming import drop_attentions, drop_layers
from sparsebench.models.compression.trimming.experts.merging import merge_similar
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig
from sparsebench.suites.model_tools import stock_folders
from sparsebench.suites.model_tools._work import Work
from sparsebench.suites.model_tools.opening import Opened, open_model
from sparsebench.suites.model_tools.stock_folders import REMAPPED, REMOVED, engines_of, open_plain, write_stock


def opened(one: Work) -> Opened:
    return Opened(one.model, one.tokenizer, Path())


def packed(one: Work, **grid: Any) -> Opened:
    quantise(one.model, QuantiseConfig(method="rtn", grid=Grid(**{"group_size": 32, **grid})))
    return opened(one)


def test_a_mixture_goes_out(work: Callable[..., Work], tmp_path: Path) -> None:
    one = work(MoEConfig(num_experts=4))
    assert "as Mixtral" in engines_of(one.model)["llama.cpp"]
    made = write_stock(opened(one), tmp_path / "stock", "transformers", "mixtral", dense=False)
    assert made.architecture == "MixtralForCausalLM"
    assert made.engines == {"transformers": "opens it", "llama.cpp": "opens it", "vllm": "opens it"}
    found, seen = open_plain(tmp_path / "stock", one.model)
    assert type(found).__module__.startswith("transformers.") and "with the outputs of the model" in seen
    assert AutoTokenizer.from_pretrained(tmp_path / "stock")("ab").input_ids == one.tokenizer("ab").input_ids
    with pytest.raises(ModelError, match="but its model is another"):
        open_plain(tmp_path / "stock", work(MoEConfig(num_experts=4, seed=1, top_k=1)).model)


def test_a_stock_model_goes_out_as_it_is(work: Callable[..., Work], tmp_path: Path) -> None:
    one = work()
    assert engines_of(one.model) == {"transformers": "opens it"}
    made = write_stock(opened(one), tmp_path / "same", "transformers", None, dense=False)
    assert made.architecture == "LlamaForCausalLM" and (tmp_path / "same" / "tokenizer.json").is_file()
    with pytest.raises(ModelError, match="is a stock model already"):
        write_stock(opened(one), tmp_path / "other", "transformers", "mixtral", dense=False)
    assert not (tmp_path / "other").exists()


def test_packed_weights_go_out(work: Callable[..., Work], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = packed(work(MoEConfig(num_experts=4)))
    assert "--dense" in engines_of(one.model)["vllm"]
    made = write_stock(one, tmp_path / "packed", "vllm", None, dense=False)
    assert made.engines == {"transformers with compressed-tensors": "opens it", "vLLM": "opens it"}
    monkeypatch.setattr(stock_folders, "READER", "there_is_no_such_package")
    assert open_plain(tmp_path / "packed", one.model) == (None, stock_folders.NOT_TRIED)
    dense = write_stock(one, tmp_path / "dense", "llama.cpp", None, dense=True)
    assert dense.engines["llama.cpp"] == "opens it"


def test_what_is_refused(work: Callable[..., Work], tmp_path: Path) -> None:
    out = tmp_path / "out"
    mixture = MoEConfig(num_experts=4)
    for one, engine, architecture, message in (
        (opened(work(mixture)), "vlm", None, "did you mean 'vllm'"),
        (opened(work(mixture)), "transformers", "mixtrall", "did you mean 'mixtral'"),
        (opened(work(mixture)), "transformers", "dots1", "architecture=Dots1"),
        (opened(work(MoEConfig(num_experts=4, router="mlp"))), "transformers", None, "a router of the kind 'mlp'"),
        (packed(work(mixture)), "llama.cpp", None, "reads no compressed-tensors"),
        (packed(work(mixture), bits=3), "vllm", None, "4 and 8 bits in most versions"),
    ):
        with pytest.raises(ModelError, match=message):
            write_stock(one, out, engine, architecture, dense=False)  # type: ignore[arg-type]
        assert not out.exists()


def test_what_no_stock_architecture_says(dense: Path, work: Callable[..., Work], tmp_path: Path) -> None:
    """The reason is what was done, not the family, and it is said whole."""
    model = open_model(dense).model
    drop_attentions(model, [0])
    for reason in engines_of(model).values():
        assert reason in ("opens it", REMOVED)
    with pytest.raises(ModelError, match="drop whole blocks in their place"):
        write_stock(Opened(model, None, dense), tmp_path / "stock", "transformers", None, dense=False)
    converted = work(MoEConfig(num_experts=4)).model, work(MoEConfig(num_experts=4)).model
    drop_attentions(converted[0], [0])
    drop_layers(converted[1], [1])
    for without in converted:
        assert set(engines_of(without).values()) == {"opens it", REMOVED}
        with pytest.raises(ModelError, match="drop whole blocks in their place"):
            write_stock(Opened(without, None, dense), tmp_path / "stock", "transformers", None, dense=False)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": 50}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    mixture = MixtralForCausalLM(MixtralConfig(**sizes, **heads, num_local_experts=4)).eval()
    batches = [{"input_ids": torch.arange(20)[None]}]
    merge_similar(mixture, mixture_statistics(mixture, batches, all_outputs=True), [2])
    for reason in engines_of(mixture).values():
        assert reason in ("opens it", REMAPPED)
    with pytest.raises(ModelError, match="drop experts with their rows"):
        write_stock(Opened(mixture, None, dense), tmp_path / "stock", "llama.cpp", None, dense=True)
