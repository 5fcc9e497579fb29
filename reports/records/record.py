"""The result record: one immutable JSON document per cell, checked when it is made and when it is read."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal

from .html_table import html_table
from .record_limits import RecordError, counts, finite, is_finite

SCHEMA_VERSION = 4
"""1 knew one method and one backbone of a cell, and no training costs; 2 knew no costs of a teacher apart; up to 3,
what methods found stood among the curves, and scores and costs had one hash of code. Such records still load."""
Status = Literal["ok", "failed", "oom", "timeout", "n/a"]
STATUSES: tuple[Status, ...] = ("ok", "failed", "oom", "timeout", "n/a")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_COUNTED = ("flops", "latency_ms", "unit")
"""Fields of `Costs`."""


class _Strict:
    # Read by pydantic. A plain dict, so that making a record needs no import of pydantic.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}


def _too_new(version: int) -> str:
    return f"written with schema {version}, this version reads up to {SCHEMA_VERSION}: upgrade sparsebench"


@dataclass(frozen=True, kw_only=True)
class Link(_Strict):
    """One method of a chain, with its configuration."""

    method: str
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CellInfo(_Strict):
    """What was run. `label` names the row of the tables: one label per chain of methods and configurations.

    `method` and `config` are the first link of the chain, for most rows the only one.
    """

    suite: str
    suite_version: str
    task: str
    task_version: str
    group: str
    """Task group within the suite, for the mean of group means ("natural"); one group is fine."""
    method: str
    label: str
    config: dict[str, Any]
    backbone: str
    seed: int
    budget: dict[str, Any]
    dtype: str
    then: list[Link] = field(default_factory=list)
    """The further links of a chain, in order."""
    further_backbones: list[str] = field(default_factory=list)
    """Backbones that the methods load in addition to `backbone` (a teacher)."""

    @property
    def links(self) -> list[Link]:
        """All methods of the row, in the order in which they are applied."""
        return [Link(method=self.method, config=self.config), *self.then]

    @property
    def methods(self) -> str:
        """The names of the links: "prune+quantize"."""
        return "+".join([self.method, *(link.method for link in self.then)])


@dataclass(frozen=True, kw_only=True)
class Metric(_Strict):
    """One score. `stderr` is the standard error over the `n` test examples, `chance` the score of a blind guess.

    `unit` is what the tables print: "share" (0..1, shown as per cent), "%" (0..100), "bits/byte" and so on. Scores with
    an empty unit are never averaged over tasks: nobody knows whether they are of one kind.

    Raises:
        RecordError: a number is not finite, or `stderr` is negative.
    """

    value: float
    stderr: float | None = None
    n: int | None = None
    higher_is_better: bool
    chance: float | None = None
    unit: str

    def __post_init__(self) -> None:
        finite("metric", value=self.value, stderr=self.stderr, chance=self.chance)
        counts("metric", n=self.n)
        if self.stderr is not None and self.stderr < 0:
            raise RecordError(f"metric: stderr is {self.stderr}; a standard error is not negative")


@dataclass(frozen=True, kw_only=True)
class Costs(_Strict):
    """What it costs. Parameters are counts, `bytes` is the size on disk, `peak_rss` is in bytes.

    `bytes_trained` is the part of the size that training changed: what one more task adds to a shared backbone.

    `flops` and `latency_ms` (CPU time, one thread; on an accelerator the time until the work is done) are per `unit`:
    "token", "image" or "molecule". None means not measured.
    """

    params_total: int | None = None
    params_trainable: int | None = None
    params_active: int | None = None
    params_nonzero: int | None = None
    flops: float | None = None
    bytes: int | None = None
    bytes_trained: int | None = None
    peak_rss: int | None = None
    latency_ms: float | None = None
    unit: str

    def __post_init__(self) -> None:
        finite("costs", flops=self.flops, latency_ms=self.latency_ms)
        counts("costs", **{name: value for name, value in vars(self).items() if name not in _NOT_COUNTED})


@dataclass(frozen=True, kw_only=True)
class TeacherCosts(_Strict):
    """The part of `TrainingCosts` that is a teacher's, which inference does not need. None means not measured.

    `params_total` counts all parameters of the teacher, `params` those of them that trained; `flops` and `seconds` are
    of its forward and backward passes, the steps of its optimizer and what is computed once of its frozen stages.
    """

    params_total: int | None = None
    params: int | None = None
    flops: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        finite("teacher costs", flops=self.flops, seconds=self.seconds)
        counts("teacher costs", params_total=self.params_total, params=self.params)


@dataclass(frozen=True, kw_only=True)
class TrainingCosts(_Strict):
    """What the training of a cell took, over all links of its chain. None means not measured.

    `params` counts the parameters that some stage trained, each once, a teacher's too; `flops` are those of all
    forward and backward passes; `seconds` is wall time inside the loop; `peak_memory` is in bytes: of the accelerator
    where there is one, else resident memory. `steps` are optimizer steps, `tokens` what was fed to the model. `teacher`
    is the part of a teacher; None without one, and in earlier records.
    """

    params: int | None = None
    flops: float | None = None
    seconds: float | None = None
    peak_memory: int | None = None
    steps: int | None = None
    tokens: int | None = None
    teacher: TeacherCosts | None = None

    def __post_init__(self) -> None:
        finite("training costs", flops=self.flops, seconds=self.seconds)
        counts("training costs", params=self.params, peak_memory=self.peak_memory)
        counts("training costs", steps=self.steps, tokens=self.tokens)


@dataclass(frozen=True, kw_only=True)
class FileInfo(_Strict):
    """A file that the cell read: path below its source, bytes, digest of what was read.

    Where a folder holds many, one entry stands for them: `path` ends in "/", `count` says how many, `size` is their sum
    and `sha256` the digest of the list that `sha256sum` prints inside that folder.
    """

    path: str
    size: int
    sha256: str
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class DataInfo(_Strict):
    """A data or weight source of the cell, with `files` that it read: none of a declared source that it did not need.

    `sha256` is the one that the source is pinned by. Folders derived from a source ("derived/..."), a user's weights
    and compiled kernels ("native/...") are sources of their own. Earlier records have no `files`.
    """

    source: str
    version: str
    sha256: str | None
    licence: str
    files: list[FileInfo] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Record(_Strict):
    """The result of one cell.

    `id` is the hash of cell and code and the name of the file; `key` is the hash of the cell alone, so that two records
    of one key are the same work done by different code; `code` is the hash of that code. `costs_code` is that of the
    code which only measures costs; None in earlier records, whose `code` covers it, and without a score. `times` is in
    seconds. Where the seed chooses the split, `seeds` has "split_rows" and "split_test": its examples, and those of
    them that are tested. `curves` maps a name to (step, value) points; a name "y by x" says what else stands in the
    place of the step. `details` has what methods noted and tasks found, by name. `examples` is the path, inside the
    result folder, of the per-example outcomes. Free-form fields (`config`, `budget`, `details`, `environment`) hold
    JSON values.

    Raises:
        RecordError: a status without its reason, scores without a main metric, a number that is not finite.
    """

    schema_version: int = SCHEMA_VERSION
    id: str
    key: str
    code: str
    costs_code: str | None = None
    cell: CellInfo
    status: Status
    reason: str | None = None
    traceback: str | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    main_metric: str | None = None
    costs: Costs | None = None
    training: TrainingCosts | None = None
    """None if nothing was trained, or nobody measured it."""
    times: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    data: list[DataInfo] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    started: str
    finished: str
    examples: str | None = None

    @property
    def commit(self) -> str | None:
        """The commit of the tree that made it; None where its environment names none."""
        named = self.environment.get("commit")
        return named if isinstance(named, str) and named else None

    def __post_init__(self) -> None:
        if not 1 <= self.schema_version <= SCHEMA_VERSION:
            raise RecordError(_too_new(self.schema_version))
        if not _ID.fullmatch(self.id):
            raise RecordError(f"record id {self.id!r} is no file name: use letters, digits, '.', '_' and '-'")
        if self.status not in STATUSES:
            raise RecordError(f"record {self.id}: status {self.status!r} is none of {', '.join(STATUSES)}")
        if self.status != "ok" and not self.reason:
            raise RecordError(f"record {self.id}: status {self.status!r} needs a reason")
        if self.status == "ok" and self.main_metric not in self.metrics:
            raise RecordError(f"record {self.id}: main metric {self.main_metric!r} is not among {sorted(self.metrics)}")
        finite(f"record {self.id}: times", **self.times)
        for name, points in self.curves.items():
            for point in points:
                if not all(map(is_finite, point)):
                    raise RecordError(f"record {self.id}: curve {name!r} has a point that is not finite or too large")

    def __str__(self) -> str:
        """One line: what was run, and its main score or why there is none."""
        cell = self.cell
        place = " on ".join(filter(None, [cell.label, cell.backbone, f"{cell.suite} {cell.task}"]))
        result = f"{self.status}: {self.reason}"
        if self.main_metric is not None:
            result = f"{self.main_metric} {self.metrics[self.main_metric].value:.6g}"
        return f"{self.id}: {place}, seed {cell.seed}: {result}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the scores."""
        rows = []
        for name, one in self.metrics.items():
            numbers = ("" if value is None else f"{value:.6g}" for value in (one.value, one.stderr, one.n))
            rows.append([name, *numbers, one.unit, "higher" if one.higher_is_better else "lower"])
        return html_table(["metric", "value", "standard error", "examples", "unit", "better"], rows, str(self))


def to_json(record: Record) -> str:
    """The record as JSON text: keys sorted, so that equal records are equal bytes.

    Raises:
        RecordError: a field holds something that JSON cannot say (NaN, an object, a key that is no string, half of a
            character), or a value of another type than the field, which `from_json` would refuse.
    """
    try:
        text = json.dumps(dataclasses.asdict(record), sort_keys=True, allow_nan=False, indent=1, ensure_ascii=False)
        text.encode()
    except Exception as error:  # objects in a free-form field fail in their own ways while they are copied
        reason = " ".join(ascii(str(error))[1:-1].split())
        raise RecordError(f"record {record.id} cannot be written as JSON: {reason}") from error
    _read(text)
    return text


RENAMED_BUDGET_KEYS = {"train_share": "train_fraction"}
"""Names in records of earlier versions, and what they are called now."""


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


def prepare() -> None:
    """Build what checks records, which takes a while once in a process: before others are forked from it."""
    _adapter()


def from_json(text: str | bytes) -> Record:
    """Read what `to_json` wrote, strictly: unknown keys and wrong types are errors.

    Raises:
        RecordError: one line that says what is wrong, the newer schema included.
    """
    record = _read(text)
    budget = record.cell.budget
    for old, new in RENAMED_BUDGET_KEYS.items():
        if old in budget:
            budget[new] = budget.pop(old)
    return record


def _read(text: str | bytes) -> Record:
    from pydantic import ValidationError

    try:
        record = _adapter().validate_json(text)
    except ValidationError as error:
        raise RecordError(_explain(text, error)) from None
    if not isinstance(record.environment.get("libraries", {}), dict):
        raise RecordError(f"record {record.id}: environment.libraries must hold versions by name")
    return record


def _explain(text: str | bytes, error: Any) -> str:
    """The first complaint of pydantic in one line; a newer schema explains every other complaint."""
    try:
        version = json.loads(text).get("schema_version")
    except (ValueError, AttributeError):
        version = None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return _too_new(version)
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
