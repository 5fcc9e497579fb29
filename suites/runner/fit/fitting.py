"""`fit`: from data of one's own to a row, how sure it is, and its model in a folder."""

import csv
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, cast

from rich.console import Console

from sparsebench.data.own.columns import Columns
from sparsebench.models.hub.atomic_folder import check_free
from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.record import Link, Record
from sparsebench.reports.records.store import Store
from sparsebench.reports.tables.matrix import Matrix
from sparsebench.reports.tables.suite_table import SuiteInfo

from ...contracts.context import Context, LoadBackbone
from ...contracts.method import Method
from ...contracts.task import Outcome, Task
from ...llm.training.own_conversations import OwnConversationsTask
from ...prediction.chosen import ChosenOnValidation, with_options
from ..discovery.loading import load_parts
from ..discovery.parts import parts_of
from ..errors import UsageError
from ..execution.executors.interface import Options
from ..execution.isolation.settle import as_in_a_worker
from ..execution.locks import sole_writer
from ..execution.placement import default_workers
from ..execution.scoring import score
from ..planning.plan_file import planned_records, planned_roles
from ..run import run
from .candidates import candidates_of, matrix_of, suite_info
from .conversations import save_answers
from .kept_backbones import keep_backbones
from .recommendation import Candidate, Recommendation, recommend
from .report import about_data, lines_of, sentences, to_rich
from .rows import choose_rows
from .saved import Description, save
from .sources import Kind, OwnData, as_source, look_at

RESULTS = "results"
"""The result folder inside the folder of a fit; `sparsebench report` reads it."""
REJECTED = "rejected.csv"
LOCK = "fit.lock"
SENTENCES = "recommendation.txt"
PROBES = 16
"""Test examples on which the saved model is compared with the one that was scored."""


@dataclass(frozen=True)
class Fit:
    """What became of a fit: the folder, the data, the recommendation and its words."""

    folder: Path
    data: OwnData
    recommendation: Recommendation
    sentences: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(self.sentences)


def fit(
    data: Path | str,
    out: Path | str | None = None,
    *,
    text: str = "",
    label: str = "",
    smiles: str = "",
    targets: Sequence[str] = (),
    split: str = "",
    backbones: Sequence[str] = (),
    seeds: int = 3,
    workers: int | None = None,
    console: Console | None = None,
) -> Fit:
    """Compare rows on data of one's own, recommend one, and save its model.

    Rows choose their options on the validation part; the recommendation is made by paired tests on that part; the test
    part is scored once a row and chooses nothing. The same call goes on where one was stopped.

    Args:
        data: a folder with a folder of images for each class (or the lists of `own_images`); a table of texts with a
            label; a table, SMI or SDF file of molecules with properties; conversations (`.jsonl`).
        out: a new folder; None is `fit-NAME` after the data.
        text: the column of texts.
        label: the column of their classes.
        smiles: the column of molecules.
        targets: the columns to predict.
        split: the column, of conversations the field, that says train, val or test; else texts and images are dealt out
            by class, molecules by scaffold, conversations by their beginning, three fifths to train on.
        backbones: in the place of those of the profile, `hf:NAME` for one of yours.
        seeds: of the rows that a seed changes.
        workers: processes; None takes what the machine has.
        console: where the progress goes.

    Returns:
        The folder and the recommendation.

    Raises:
        UsageError: a folder that is there, an unknown form of data, no row with a score.
        ModelError: a folder that cannot be made.
        DataError: data that cannot be learnt from; nothing is written then.

    Example:
        >>> fit("mydata.csv", smiles="SMILES", targets=["logS"])  # doctest: +SKIP
    """
    place = Path(data)
    folder = Path(out) if out is not None else Path(f"fit-{place.resolve().name.partition('.')[0]}")
    _check_new(folder)
    check_free(folder)
    columns, kind = _asked(text, label, smiles, targets, split)
    own = look_at(place, columns, kind)
    console = console or Console(markup=False, emoji=False, highlight=False)
    profile, notes = choose_rows(own, seeds, backbones)
    (plan,) = profile.plans
    for line in [*about_data(own, plan.backbones), *notes]:
        console.print(line, soft_wrap=True)
    stage = folder.with_name(f".{folder.name}.partial")
    with _staged(stage, folder), as_source(own, stage):
        run(profile, stage / RESULTS, Options(workers=workers or default_workers(1)), "exact", console)
        compared = _compared(own, stage / RESULTS)
        for name, reason in compared.left_out.items():
            console.print(f"no candidate: {name}: {reason}", style="yellow", soft_wrap=True)
        found = compared.recommendation
        said = [*sentences(found, compared.matrix, own), *notes]
        table = to_rich(
            lines_of(compared.matrix, compared.info, compared.candidates), compared.matrix, found.chosen.name
        )
        said += _save(own, found, said, compared.records, stage)
        (stage / SENTENCES).write_text("".join(f"{line}\n" for line in said), encoding="utf-8")
    console.print(table)
    for line in said:
        console.print(line, soft_wrap=True)
    return Fit(folder, own, found, tuple(said))


class _Compared(NamedTuple):
    """The records of a run as rows, the choice among them, and the rows that are no candidates."""

    records: Sequence[Record]
    matrix: Matrix
    info: SuiteInfo
    candidates: Sequence[Candidate]
    left_out: Mapping[str, str]
    recommendation: Recommendation


def _compared(own: OwnData, results: Path) -> _Compared:
    """Raises `UsageError` where no row has all of its scores."""
    store = Store(results)
    with Index(store) as index:
        planned = planned_records(index.entries, results)
    records = [store.read(entry.id) for entry in planned]
    matrix = matrix_of(records, planned_roles(results).get(own.task.suite, {}), own.task.suite)
    matrix.examples = ExampleReader(store.read_examples)
    info = suite_info(own.task.suite)
    candidates, left_out = candidates_of(matrix, info)
    if not any(one.rival for one in candidates):
        raise UsageError(f"no row has all of its scores: {'; '.join(left_out.values())}")
    found = recommend(candidates, matrix.columns[0].higher_is_better, own.counts["val"])
    return _Compared(records, matrix, info, candidates, left_out, found)


def _asked(text: str, label: str, smiles: str, targets: Sequence[str], split: str) -> tuple[Columns, Kind | None]:
    """The columns and the kind that the options say. Raises `UsageError` for options of both kinds."""
    for_text = bool(text or label)
    for_molecules = bool(smiles or targets)
    if for_text and for_molecules:
        raise UsageError("--text and --label are of texts, --smiles and --target of molecules: say one of the two")
    named = tuple(targets) or ((label,) if label else ())
    kind: Kind | None = "text" if for_text else "molecules" if for_molecules else None
    return Columns(text or smiles, named, split), kind


@contextmanager
def _staged(stage: Path, folder: Path) -> Iterator[None]:
    """The folder appears when all is in it; what was computed stays in the stage for the next call.

    Raises `UsageError` where another fit writes to it, or has done so since this one began.
    """
    stage.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        held = f"another fit is writing {folder}: wait for it, or name another folder"
        try:
            stack.enter_context(sole_writer(stage / LOCK, held))
        except FileNotFoundError:  # the stage was moved away in between
            _check_new(folder)
            raise
        if folder.exists():
            (stage / LOCK).unlink(missing_ok=True)
            with suppress(OSError):  # where it holds what another call has computed
                stage.rmdir()
        _check_new(folder)
        yield
        stage.rename(folder)
        # Not before: who opens it in between finds that it is held, or that the folder is there.
        (folder / LOCK).unlink()


def _check_new(folder: Path) -> None:
    if folder.exists():
        raise UsageError(f"{folder} is there already: remove it, or name another folder")


def _save(
    own: OwnData, found: Recommendation, said: Sequence[str], records: Sequence[Record], stage: Path
) -> list[str]:
    """The chosen row's model of its first seed, trained again with the chosen options; what is to be said of it."""
    chosen = found.chosen
    row = (chosen.label, chosen.backbone)
    record = next(one for one in records if (one.cell.label, one.cell.backbone) == row and one.cell.seed == 0)
    again = _train_again(record)
    scale = again.subject.data.scale if own.goal == "regression" else None
    keeping = keep_backbones(parts_of(record.cell), stage)
    about = Description(
        version=version("sparsebench"),
        kind=own.kind,
        cell=asdict(replace(record.cell, config=again.links[0].config, then=again.links[1:])),
        goal=own.goal,
        classes=list(own.classes),
        targets=list(own.columns.targets),
        input=own.columns.input,
        mean=scale.mean.tolist() if scale else [],
        std=scale.std.tolist() if scale else [],
        recommendation={"sureness": found.sureness, "reason": found.reason, "record": record.id, "said": list(said)},
        kept=keeping.kept,
    )
    keep = save_answers if own.kind == "conversations" else save
    keep(about, again.subject, again.inputs, stage)
    with (stage / REJECTED).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("row", "reason"), *((one.row, one.reason) for one in own.rejected)])
    shutil.rmtree(stage / RESULTS / "checkpoints", ignore_errors=True)
    assert record.main_metric is not None
    compared = record.metrics[record.main_metric].value
    if again.score == compared:
        return keeping.said
    return [
        *keeping.said,
        f"the saved model was trained again and scores {record.main_metric} {again.score:.6g}, not {compared:.6g}",
    ]


class _Again(NamedTuple):
    """The last training of a cell: its methods with the chosen options, the model, some test inputs, the test score."""

    links: list[Link]
    subject: Any
    inputs: Sequence[Any]
    score: float


def _train_again(record: Record) -> _Again:
    """On the processor, its score is that of the record to the last digit."""
    info = record.cell
    loaded = load_parts(parts_of(info), info.links)
    task = cast("ChosenOnValidation | OwnConversationsTask", loaded.task)
    chain = with_options(loaded.chain, record.details["choice"]["chosen"])
    last = _Last(task)
    with as_in_a_worker():
        outcome = score(info, chain, cast("Task", last), loaded.loaders, str(record.environment["device"]))
    links = [Link(method=link.method, config=asdict(one)) for link, one in zip(info.links, chain, strict=True)]
    assert last.subject is not None
    probes = task.parts("test") if isinstance(task, OwnConversationsTask) else task.load().test.inputs
    return _Again(links, last.subject, probes[:PROBES], outcome.metrics[outcome.main_metric].value)


class _Last:
    """The task as `score` takes one, of which only the last training runs."""

    def __init__(self, task: ChosenOnValidation | OwnConversationsTask) -> None:
        self.task = task
        self.subject: Any = None

    def run(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """The outcome of the last training."""
        outcome, self.subject = self.task.train_chosen(chain, load_backbone, context)
        return outcome
