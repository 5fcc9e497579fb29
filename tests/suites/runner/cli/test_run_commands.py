"""`plan`, `prepare` and `run`; mistakes in a user's folder or pair end a run with 2 before anything trains."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ....data.vision.vtab1k.kitti import write_kitti

Change = Callable[[Path], None]
ROWS = {"train800": 8, "val200": 4, "test": 6}
OWN = ("vtab", "run", "--task", "own_images", "--backbone", "tiny", "--method", "idat", "--out", "out")
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


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound folder of 18 images of two classes, in the layout of VTAB-1K."""
    folder = tmp_path / "photographs"
    generator = np.random.default_rng(0)
    lines: dict[str, list[str]] = {}
    for part, count in ROWS.items():
        (folder / part).mkdir(parents=True)
        lines[part] = []
        for number in range(count):
            pixels = generator.integers(0, 255, size=(8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{number}.png")
            lines[part].append(f"{part}/{number}.png {number % 2}\n")
    lines["train800val200"] = lines["train800"] + lines["val200"]
    for part, rows in lines.items():
        (folder / f"{part}.txt").write_text("".join(rows))
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARSEBENCH_OWN_IMAGES", str(folder))
    return folder


def rewrite(part: str, old: str, new: str) -> Change:
    """Another text in one list."""

    def change(folder: Path) -> None:
        listing = folder / f"{part}.txt"
        text = listing.read_text()
        assert old in text
        listing.write_text(text.replace(old, new))

    return change


def remove_list(folder: Path) -> None:
    (folder / "val200.txt").unlink()


def break_image(folder: Path) -> None:
    (folder / "test" / "5.png").write_bytes(b"no image")


BROKEN: dict[str, tuple[Change, str]] = {
    "missing list": (remove_list, "val200.txt is missing"),
    "class without training rows": (
        rewrite("test", "test/3.png 1", "test/3.png 7"),
        "label 7 of 3.png says that there are 8 classes, from 0, but 5 of them have no row",
    ),
    "unreadable image": (break_image, "test/5.png is no readable image"),
}


def nothing_ran(folder: Path) -> bool:
    return not list((folder / "out").rglob("records/*.json"))


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_folder_of_photographs_ends_a_run_before_it_trains(
    mistake: str, photographs: Path, sparsebench: Any, tmp_path: Path
) -> None:
    change, words = BROKEN[mistake]
    change(photographs)
    code, _, err = sparsebench(*OWN)
    assert code == 2 and words in " ".join(err.split()), err
    assert nothing_ran(tmp_path) and err.count("\n") <= 2, "one line, and no traceback"


def test_a_folder_that_is_not_vtab_1k_ends_a_run(
    sparsebench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(write_kitti(tmp_path / "vtab")))
    folder = tmp_path / "vtab" / "kitti"
    (folder / "SHA256SUMS").unlink()
    rewrite("test", "images/test/000003.jpg 3", "images/test/000003.jpg 4")(folder)
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
