"""`convert`, `compress`, `export`: a model in, a folder out, and what it lost and gained."""

from __future__ import annotations

import gc
import shutil
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import psutil
import torch

from sparsebench.data.errors import reason_of
from sparsebench.models import load, save
from sparsebench.models.errors import ModelError, check_choice
from sparsebench.models.hub.atomic_folder import check_free
from sparsebench.models.moe.stock_export.stock import Engine

from ._options import ChangeOptions, steps_of
from ._work import WINDOWS, Say, Work, progress
from .measures import Row, Speed, loss, rows_of, speeds
from .opening import Opened, open_model, size_on_disk
from .outcome import Done, Outcome, Side
from .recipe import Named
from .stock_folders import ENGINES, engines_of, open_plain, write_stock
from .texts import DOCUMENTS, Texts, read_held_out, read_texts

SPARE = 1.5
"""Times the size of a model that has to be free to load it once more."""


def convert(
    model: str | Path,
    out: str | Path,
    recipe: str | Path | Sequence[Named] | None = None,
    *,
    calibration: str | Path | None = None,
    held_out: str | Path | None = None,
    documents: int = DOCUMENTS,
    windows: int = WINDOWS,
    seed: int = 0,
    device: str = "cpu",
    say: Say = print,
    **options: Unpack[ChangeOptions],
) -> Outcome:
    """Make a mixture of experts of a dense language model, and write it to a new folder.

    Args:
        model: a folder, or a name on the hub.
        out: the new folder; it appears whole or not at all.
        recipe: a YAML file, or steps (`recipe.step`), of which the first is `convert`; or `options` in its place.
        calibration: a file of text (`texts.own_documents`); None: the packaged domains.
        held_out: a file of text to measure the loss on; None: a part of `calibration`, or the packaged test halves.
        documents: held-out documents, at most.
        windows: windows of 256 tokens of calibration text.
        seed: of splits, routers and the order of text.
        device: where the model is changed.
        say: is given lines of progress.
        options: `preset`, or `experts`, `top_k`, `shared`, `split`; `heal="tokens=200k"`; `target` and `ignore`.

    Returns:
        What was done and what it cost.

    Raises:
        ModelError: nothing is written: mistakes in the arguments, and models that cannot be changed so.
        DataError: text that cannot be had.

    Example: `print(convert("SmolLM2-135M", "mixture", experts=8, top_k=2, shared=2))`.
    """
    steps = steps_of(recipe, options)
    if steps[0].name != "convert":
        raise ModelError("the first step makes no mixture: begin with `convert`, or use `sparsebench compress`")
    texts = (calibration, held_out, documents)
    return _change(model, out, steps, texts, windows=windows, seed=seed, device=device, say=say)


def compress(
    model: str | Path,
    out: str | Path,
    recipe: str | Path | Sequence[Named] | None = None,
    *,
    calibration: str | Path | None = None,
    held_out: str | Path | None = None,
    documents: int = DOCUMENTS,
    windows: int = WINDOWS,
    seed: int = 0,
    device: str = "cpu",
    say: Say = print,
    **options: Unpack[ChangeOptions],
) -> Outcome:
    """Make a language model smaller, and write it to a new folder.

    Args:
        model: a folder, or a name on the hub.
        out: the new folder; it appears whole or not at all.
        recipe: a YAML file, or steps (`recipe.step`); or `options` in its place.
        calibration: as of `convert`.
        held_out: as of `convert`.
        documents: as of `convert`.
        windows: as of `convert`.
        seed: of random scores and the order of text.
        device: where the model is changed.
        say: is given lines of progress.
        options: `keep_experts` with `how` and `score`, `drop_layers`, `drop_attentions`, `drop_blocks`, `sparsity` with
            `pruning` and `pattern`, `budget="bytes=0.5"`, `heal="tokens=200k"`, `bits` with `method`, `group_size` and
            `zero_points`; `parts`, `target` and `ignore` for all of them. They are done in this order.

    Returns:
        What was done and what it cost.

    Raises:
        ModelError: nothing is written: mistakes in the arguments, and models that cannot be changed so.
        DataError: text that cannot be had.

    Example: `print(compress("mixture", "packed", keep_experts=0.75, score="reap", bits=4))`.
    """
    steps = steps_of(recipe, options)
    texts = (calibration, held_out, documents)
    return _change(model, out, steps, texts, windows=windows, seed=seed, device=device, say=say)


def export(
    model: str | Path,
    out: str | Path,
    *,
    engine: Engine = "transformers",
    to: str | None = None,
    dense: bool = False,
    held_out: str | Path | None = None,
    documents: int = DOCUMENTS,
    say: Say = print,
) -> Outcome:
    """Write a model as a folder of a stock architecture, for programs that know nothing of this package.

    Args:
        model: a folder that `convert` or `compress` wrote, or any other.
        out: the new folder; it appears whole or not at all.
        engine: what is to run it: "transformers", "vllm", "llama.cpp" (by its converter), "compressed-tensors".
        to: an architecture, as "mixtral" or "qwen2_moe"; None: the first that says the model.
        dense: packed weights become the dense ones that they stand for.
        held_out: as of `convert`.
        documents: as of `convert`.
        say: is given lines of progress.

    Returns:
        What was written, and whether plain transformers opens it with the outputs of the model.

    Raises:
        ModelError: nothing is written: no stock architecture of the engine says the model, and mistakes.
        DataError: text that cannot be had.

    Example: `print(export("packed", "stock", engine="compressed-tensors"))`.
    """
    out = Path(out)
    check_free(out)
    check_choice("engine", engine, ENGINES)
    measured, source = read_held_out(None if held_out is None else Path(held_out), documents)
    opened = _open(model, say)
    rows = rows_of(measured, opened.tokenizer, opened.model)
    before = _side(opened, rows, say)
    started = time.monotonic()
    say(f"exporting for {engine}")
    written = write_stock(opened, out, engine, to, dense)
    done = Done(f"export for {engine}", f"a stock {written.architecture}", time.monotonic() - started)
    try:
        plain, seen = open_plain(out, opened.model)
    except ModelError:
        shutil.rmtree(out)  # it was not there before, or empty
        raise
    opened.model = None
    say("measuring what was written")
    found = written.model if plain is None else plain
    return Outcome(
        out=str(out),
        architecture=written.architecture,
        steps=[done],
        before=before,
        after=Side.of(found, size_on_disk(out), loss(found, rows)),
        speed=_against_source(opened, found, rows),
        text=source,
        engines=written.engines,
        opened=seen,
    )


TextPlaces = tuple[str | Path | None, str | Path | None, int]
"""Files of calibration and held-out text, and how many held-out documents there are."""


def _change(
    model: str | Path,
    out: str | Path,
    steps: Sequence[Named],
    places: TextPlaces,
    *,
    windows: int,
    seed: int,
    device: str,
    say: Say,
) -> Outcome:
    out = Path(out)
    check_free(out)
    if windows < 1:
        raise ModelError(f"windows={windows} of calibration text must be 1 or more")
    texts = _texts(places)
    opened = _open(model, say)
    opened.model.to(_device(device))
    rows = rows_of(texts.held_out, opened.tokenizer, opened.model)
    before = _side(opened, rows, say)
    work = Work(
        model=opened.model,
        tokenizer=opened.tokenizer,
        texts=texts,
        windows=windows,
        seed=seed,
        say=say,
    )
    opened.model = None  # so that a step may let go of it
    done, notes = _carry_out(steps, work)
    say(f"writing {out}")
    work.model.to("cpu")
    save(work.model, out, tokenizer=opened.tokenizer)
    del work.model
    gc.collect()
    say("measuring what was written")
    found: Any = load(out)
    after = Side.of(found, size_on_disk(out), loss(found, rows))
    return Outcome(
        out=str(out),
        architecture=type(found).__name__,
        steps=done,
        before=before,
        after=after,
        speed=_against_source(opened, found, rows),
        text=texts.source,
        engines=engines_of(found),
        notes=notes,
    )


def _device(name: str) -> torch.device:
    """The device of a name; "auto": an accelerator where there is one."""
    if name == "auto":
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device={name!r} is not there: {str(error).splitlines()[0]}") from error
    return device


def _texts(places: TextPlaces) -> Texts:
    calibration, held_out, documents = places
    own, other = (None if place is None else Path(place) for place in (calibration, held_out))
    return read_texts(own, other, documents)


def _open(model: str | Path, say: Say) -> Opened:
    say(f"opening {model}")
    return open_model(model)


def _side(opened: Opened, rows: Sequence[Row], say: Say) -> Side:
    say("measuring the model as it is")
    try:
        measured = loss(opened.model, rows)
    except (ModelError, MemoryError):
        raise
    except Exception as error:  # a config.json may ask for what the code of the model cannot do, which fails in any way
        reason = reason_of(error)
        raise ModelError(
            f"the model in {opened.folder} opens but does not run: {type(error).__name__}: {reason}"
        ) from error
    return Side.of(opened.model, size_on_disk(opened.folder), measured)


def _carry_out(steps: Sequence[Named], work: Work) -> tuple[list[Done], list[str]]:
    done: list[Done] = []
    notes: list[str] = []
    for number, named in enumerate(steps, 1):
        work.say(f"step {number} of {len(steps)}: {named}")
        started = time.monotonic()
        with warnings.catch_warnings(record=True) as caught, progress(work.say, named.name):
            warnings.simplefilter("always", UserWarning)
            try:
                line = named.step.apply(work)
            except ModelError as error:
                raise ModelError(f"{named.name}: {error}") from error
        work.model.eval()
        notes += [f"{named.name}: {one.message}" for one in caught if issubclass(one.category, UserWarning)]
        done.append(Done(str(named), line, time.monotonic() - started))
        work.say(f"  {line}")
    return done, list(dict.fromkeys(notes))


def _against_source(opened: Opened, after: Any, rows: Sequence[Row]) -> tuple[Speed, Speed] | str:
    """The source is opened again: meanwhile it was changed in memory, or made dense."""
    size = size_on_disk(opened.folder)
    free = psutil.virtual_memory().available
    if free < SPARE * size:
        return (
            f"not measured: {size / 2**30:.1f} GiB for the model as it was are too many beside {free / 2**30:.1f} free"
        )
    return _both(open_model(opened.folder).model, after, rows)


def _both(before: Any, after: Any, rows: Sequence[Row]) -> tuple[Speed, Speed]:
    longest = max(rows, key=lambda row: len(row.ids))
    with torch.random.fork_rng(devices=[]):
        first, second = speeds([before, after], longest.ids)
    return first, second
