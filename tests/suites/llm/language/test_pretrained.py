"""Causal LMs from a folder or the hub."""

import json
from typing import Any

import pytest
import torch

from sparsebench.suites.llm.backbones import hf
from sparsebench.suites.llm.language.task import CausalLM


def test_hf_loads_a_saved_folder_and_explains_what_is_missing(lm: CausalLM, tmp_path: Any) -> None:
    folder = tmp_path / "model"
    model: Any = lm.model
    model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    loaded = hf.load(torch.Generator(), str(folder))
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded.model(input_ids=ids).logits, model(input_ids=ids).logits)
    assert loaded.tokenizer("ab")["input_ids"] == lm.tokenizer("ab")["input_ids"]
    with pytest.raises(ValueError, match="hf:<folder>"):
        hf.load(torch.Generator())
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="safetensors"):
        hf.load(torch.Generator(), str(folder))


def damaged(state: dict[str, torch.Tensor], how: str) -> dict[str, torch.Tensor]:
    name = "model.layers.0.mlp.up_proj.weight"
    state = {key: value.clone() for key, value in state.items()}
    if how == "missing":
        del state[name]
    elif how == "unknown":
        state["model.layers.0.mlp.more.weight"] = torch.zeros(1)
    elif how == "shape":
        state[name] = state[name].T.contiguous()[:, :-1].contiguous()
    else:
        state[name][0, 0] = float("nan")
    return state


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "1 tensors are missing, first model.layers.0.mlp.up_proj.weight"),
        ("unknown", "1 tensors are unknown, first model.layers.0.mlp.more.weight"),
        ("shape", "cannot load"),
        ("not finite", "tensor 'model.layers.0.mlp.up_proj.weight' holds numbers that are not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(lm: CausalLM, tmp_path: Any, how: str, message: str) -> None:
    """Audit R15. transformers draws what is missing at random and only logs it."""
    from safetensors.torch import load_file, save_file

    model: Any = lm.model
    model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file(damaged(load_file(file), how), file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=message) as caught:
        hf.load(torch.Generator(), str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_configuration_that_transformers_does_not_heed_is_refused(lm: CausalLM, tmp_path: Any) -> None:
    """An official folder of LLaMA-MoE v2 was computed without its scale: all of its tensors are those of a Mixtral."""
    model: Any = lm.model
    model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"scale_factor": 4.0}))
    with pytest.raises(ValueError, match=r"says scale_factor=4\.0 in its config\.json, .* would ignore"):
        hf.load(torch.Generator(), str(tmp_path))


def test_weights_that_are_cut_are_refused(lm: CausalLM, tmp_path: Any) -> None:
    model: Any = lm.model
    model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    content = file.read_bytes()
    for share in (0, 0.001, 0.5):
        file.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ValueError, match="cannot load"):
            hf.load(torch.Generator(), str(tmp_path))


def test_hf_loads_the_commit_that_a_hub_name_stands_for_here(lm: CausalLM, tmp_path: Any, monkeypatch: Any) -> None:
    """A hub's cache with two commits: `main` is the newer one, `v1` the older."""
    repository = tmp_path / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    ids = torch.tensor([[1, 2, 3]])
    logits = {}
    model: Any = lm.model
    for revision, commit in (("v1", "1" * 40), ("main", "2" * 40)):
        folder = repository / "snapshots" / commit
        torch.nn.init.normal_(model.lm_head.weight, generator=torch.Generator().manual_seed(int(commit[0])))
        model.save_pretrained(folder)
        lm.tokenizer.save_pretrained(folder)
        (repository / "refs" / revision).write_text(commit)
        logits[revision] = model(input_ids=ids).logits
    # Else transformers asks the hub about the tokenizer, again and again, even for local files only.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    for name, revision in (("", "main"), ("@main", "main"), ("@v1", "v1"), ("@" + "1" * 40, "v1")):
        loaded = hf.load(torch.Generator(), f"owner/name{name}")
        assert torch.equal(loaded.model(input_ids=ids).logits, logits[revision])
    with pytest.raises(ValueError, match="cannot load 'owner/name'"):
        hf.load(torch.Generator(), "owner/name@v2")
