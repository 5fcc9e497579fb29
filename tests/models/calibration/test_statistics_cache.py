"""Statistics that were taken before: read from disk without running the model, and never for another one."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.calibration import statistics_cache
from sparsebench.models.calibration.mixture_statistics import LayerStatistics, mixture_statistics
from sparsebench.models.calibration.statistics_cache import cached_statistics, read_statistics, write_statistics
from sparsebench.models.errors import ModelError

Build = Callable[[str], nn.Module]
BATCHES = [{"input_ids": torch.arange(3, 19).view(2, 8), "attention_mask": torch.ones(2, 8, dtype=torch.int64)}]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for each call that went through the model."""
    seen: list[str] = []

    def counted(model: nn.Module, *args: Any, **keywords: Any) -> Any:
        hook = model.register_forward_pre_hook(lambda *_: seen.append("forward"))
        try:
            return mixture_statistics(model, *args, **keywords)
        finally:
            hook.remove()

    monkeypatch.setattr(statistics_cache, "mixture_statistics", counted)
    return seen


def same(ones: Any, others: Any) -> bool:
    """To the bit, types included."""
    for one, other in zip(ones, others, strict=True):
        for name, value in vars(one).items():
            found = getattr(other, name)
            if isinstance(value, Tensor):
                if value.dtype != found.dtype or not torch.equal(value, found):
                    return False
            elif value != found:
                return False
    return True


def test_the_second_call_does_not_run_the_model(build: Build, tmp_path: Path, runs: list[str]) -> None:
    model = build("mixtral")
    first = cached_statistics(model, BATCHES, tmp_path / "new" / "folder")
    assert runs == ["forward"] and first[0].output.dtype == torch.float64
    # Made again, as in another process: nothing but the values is the same.
    second = cached_statistics(build("mixtral"), [dict(BATCHES[0])], tmp_path / "new" / "folder")
    assert runs == ["forward"]
    assert same(first, second) and same(second, mixture_statistics(model, BATCHES))
    assert isinstance(second[0], LayerStatistics) and second[0].all_output is None


@pytest.mark.parametrize("other", ["weights", "routing", "data", "all_outputs", "moments", "code"])
def test_something_else_is_a_miss(
    other: str, build: Build, tmp_path: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = build("mixtral")
    cached_statistics(model, BATCHES, tmp_path)
    batches: list[Any] = [dict(BATCHES[0])]
    asked: dict[str, bool] = {}
    if other == "weights":
        model.model.layers[0].mlp.gate.weight.data.add_(0.5)
    elif other == "routing":
        model.model.layers[0].mlp.gate.top_k = 1
    elif other == "data":
        batches[0]["attention_mask"] = torch.tensor([[1] * 8, [1] * 7 + [0]])
    elif other == "code":
        monkeypatch.setattr(statistics_cache, "code_digest", lambda: "of another version")
    else:
        asked[other] = True
    found = cached_statistics(model, batches, tmp_path, **asked)
    assert len(runs) == 2 and len(list(tmp_path.iterdir())) == 2
    assert same(found, mixture_statistics(model, batches, **asked))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another file"])
def test_a_damaged_file_is_refused(damage: str, build: Build, tmp_path: Path) -> None:
    model = build("mixtral")
    cached_statistics(model, BATCHES, tmp_path)
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[:-9]
    elif damage == "flipped":
        content[-3] ^= 1
    elif damage == "empty":
        content.clear()
    else:
        from safetensors.torch import save

        content = bytearray(save({"x": torch.ones(2)}))
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"\.safetensors is damaged.*remove it"):
        cached_statistics(model, BATCHES, tmp_path)


def test_a_write_that_fails_leaves_nothing_and_is_said(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.warns(UserWarning, match="statistics of experts were not kept: .*No space left"):
        found = cached_statistics(build("mixtral"), BATCHES, tmp_path)
    assert len(found) == 2 and not list(tmp_path.iterdir())


def test_what_was_not_used_for_longest_goes(build: Build, tmp_path: Path) -> None:
    statistics = mixture_statistics(build("mixtral"), BATCHES)
    for age, name in enumerate(["newer", "older"]):
        write_statistics(tmp_path / f"{name}.safetensors", statistics)
        os.utime(tmp_path / f"{name}.safetensors", (1e9 - age, 1e9 - age))
    size = (tmp_path / "older.safetensors").stat().st_size
    cached_statistics(build("mixtral"), BATCHES, tmp_path, limit=2 * size)
    names = {file.stem for file in tmp_path.iterdir()}
    assert len(names) == 2 and "newer" in names and "older" not in names
    # A file that is read becomes the youngest.
    os.utime(tmp_path / "newer.safetensors", None)
    (own,) = (file for file in tmp_path.iterdir() if file.stem != "newer")
    os.utime(own, (1e9, 1e9))
    cached_statistics(build("mixtral"), BATCHES, tmp_path)
    assert own.stat().st_mtime > 1e9


def _write(file: Path, statistics: Any, count: int) -> None:
    for _ in range(count):
        write_statistics(file, statistics)


def test_two_processes_that_write_at_once(build: Build, tmp_path: Path) -> None:
    statistics = mixture_statistics(build("mixtral"), BATCHES)
    file = tmp_path / "one.safetensors"
    write_statistics(file, statistics)
    other = multiprocessing.get_context("fork").Process(target=_write, args=(file, statistics, 40))
    other.start()
    while other.is_alive():
        write_statistics(file, statistics)
        assert same(read_statistics(file), statistics)
    other.join()
    assert other.exitcode == 0 and [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]
