"""`plan`, `prepare` and `run`; mistakes in a user's folder or pair end a run with 2 before anything trains."""

from pathlib import Path
from typing import Any

import pytest

from ....data.vision.vtab1k.kitti import write_kitti

KITTI = ("vtab", "run", "--task", "vtab1k_kitti", "--backbone", "tiny", "--method", "idat", "--out", "out")


def test_prepare_one_source(sparsebench) -> None:
    """What a message about a broken file says."""
    code, out, _ = sparsebench("prepare", "--source", "digits")
    assert code == 0 and out.startswith("digits: ready in ")
    code, _, err = sparsebench("prepare", "--source", "digit")
    assert code == 2 and "unknown source 'digit'; did you mean digits" in err


def test_plan_states(bench) -> None:
    bench.write_toys("toy_fine", "toy_picky", "toy_raise")
    arguments = ["plan", "--profile", str(bench.folder / "toy.yaml"), "--out", str(bench.out)]
    before = bench.call(*arguments).stdout
    assert "2 missing, 1 n/a" in before
    assert "has no spokes" in before
    bench.call(*bench.run_arguments())
    after = bench.call(*arguments).stdout
    assert "1 done, 1 failed, 1 n/a" in after


def nothing_ran(folder: Path) -> bool:
    return not list((folder / "out").rglob("records/*.json"))


def test_a_folder_that_is_not_vtab_1k_ends_a_run(
    sparsebench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(write_kitti(tmp_path / "vtab")))
    folder = tmp_path / "vtab" / "kitti"
    (folder / "SHA256SUMS").unlink()
    listing = folder / "test.txt"
    listing.write_text(listing.read_text().replace("images/test/000003.jpg 3", "images/test/000003.jpg 4"))
    code, _, err = sparsebench(*KITTI)
    assert code == 2 and "'images/test/000003.jpg 4' is not 'path label' with label < 4" in " ".join(err.split()), err
    assert nothing_ran(tmp_path)


@pytest.fixture
def other_words(tmp_path: Path) -> Path:
    """A small Llama with a vocabulary of its own, as a folder of transformers."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {"<unk>": 0, "one": 1, "two": 2, "three": 3}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")))
    sizes: Any = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    folder = tmp_path / "words"
    LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_teacher_of_another_vocabulary_ends_a_run_before_it_trains(
    other_words: Path, sparsebench: Any, tmp_path: Path
) -> None:
    arguments = ("llm", "run", "--task", "synthetic_mixture", "--backbone", "tiny", "--method", "idat", "--out", "out")
    code, _, err = sparsebench(*arguments, "--set", f"idat.teacher=hf:{other_words}")
    said = " ".join(err.split())
    assert code == 2 and f"the vocabulary of the teacher hf:{other_words} has 4 tokens instead of 257" in said, err
    assert "llm/synthetic_mixture" in said and "take a teacher and a student of one vocabulary" in said
    assert nothing_ran(tmp_path)
