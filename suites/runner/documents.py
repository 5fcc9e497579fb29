"""What `--json` prints: one document for each command, with the name of its schema.

A new field may come; what is there keeps its name and meaning as long as the number of the schema does.
"""

from typing import Any, Literal, TypedDict


class EntryDocument(TypedDict):
    """A method, task, backbone, router, split or criterion."""

    name: str
    caption: str
    module: str


class SuiteDocument(TypedDict):
    """A suite, with what is in it."""

    name: str
    title: str
    description: str
    tasks: list[EntryDocument]
    backbones: list[EntryDocument]
    profiles: list[str]


class SourceDocument(TypedDict):
    """A data source."""

    name: str
    caption: str
    kind: str
    version: str
    licence: str


class ListDocument(TypedDict):
    """`sparsebench list --json`. `problems` are plug-ins that cannot be read; what was not asked for is empty."""

    schema: Literal["sparsebench/list/1"]
    methods: list[EntryDocument]
    suites: list[SuiteDocument]
    routers: list[EntryDocument]
    splits: list[EntryDocument]
    criteria: list[EntryDocument]
    adapters: list[EntryDocument]
    sources: list[SourceDocument]
    problems: list[str]


class LinkDocument(TypedDict):
    """One method of a row, with all its options."""

    method: str
    config: dict[str, Any]


class CellDocument(TypedDict):
    """A cell of a plan. `id` names its record, `key` what it is whatever code runs it; `reason` says why it is n/a."""

    id: str
    key: str
    state: Literal["done", "vouched", "missing", "stale", "failed", "n/a"]
    reason: str | None
    suite: str
    task: str
    group: str
    label: str
    chain: list[LinkDocument]
    backbone: str
    further_backbones: list[str]
    seed: int
    budget: dict[str, Any]
    dtype: str
    device: str


class PlanDocument(TypedDict):
    """`sparsebench plan --json`. `seconds` is the expected wall time of what is not done, None if nothing is known."""

    schema: Literal["sparsebench/plan/1"]
    profile: str
    folder: str
    cells: list[CellDocument]
    states: dict[str, int]
    workers: int
    seconds: float | None


class FindingDocument(TypedDict):
    """One thing that `doctor` found: a problem keeps a run from working, a note is good to know."""

    level: Literal["problem", "note"]
    text: str


class DoctorDocument(TypedDict):
    """`sparsebench doctor --json`. `environment` is what every record says of machine and software."""

    schema: Literal["sparsebench/doctor/1"]
    environment: dict[str, Any]
    findings: list[FindingDocument]


class ComparisonDocument(TypedDict):
    """A line of `compare`: A minus B in `unit`, positive where A is better, with the half width of its 95 % interval.

    `p` is of "no difference", `equivalence_p` of "a difference as large as `margin`"; None where nothing measures it.
    `pairs` were compared, `lost` ones lack a score on one side. `reason` says why nothing could be compared.
    """

    suite: str
    task: str
    unit: str
    outcome: Literal["better", "equivalent", "identical", "undecided", "one seed", "worse", "not comparable"]
    difference: float | None
    half_width: float | None
    p: float | None
    equivalence_p: float | None
    margin: float | None
    test: str | None
    pairs: int
    lost: int
    reason: str | None
    note: str


class CompareDocument(TypedDict):
    """`sparsebench compare --json`."""

    schema: Literal["sparsebench/compare/1"]
    folder: str
    a: str
    b: str
    lines: list[ComparisonDocument]


class ClaimDocument(TypedDict):
    """What the records say of a claim."""

    id: str
    statement: str
    verdict: str


class WithoutScoreDocument(TypedDict):
    """A cell that has no score, and why; `id` names its record."""

    id: str
    suite: str
    task: str
    label: str
    backbone: str
    seed: int
    status: Literal["n/a", "failed", "oom", "timeout"]
    reason: str


class ReportDocument(TypedDict):
    """`sparsebench report --json`. `suites`: for each family of tasks the rows with score, outcome and two costs.

    A row that ran on none of the tasks of a family is in `without_score` alone.
    """

    schema: Literal["sparsebench/report/1"]
    folders: list[str]
    page: str
    suites: dict[str, list[dict[str, Any]]]
    without_score: list[WithoutScoreDocument]
    claims: list[ClaimDocument]
    notes: list[str]
