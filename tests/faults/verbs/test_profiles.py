"""`run` and `plan`: profiles that say nothing that can be run, and options that change them into nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sparsebench.reports.records.record import SCHEMA_VERSION
from sparsebench.reports.records.store import MARKER

from .catalogue import Case, copied, replaced

GOOD: dict[str, Any] = {"seeds": 1, "backbones": ["tiny"], "methods": ["full_tuning"], "tasks": ["synthetic"]}
ROW = {"name": "full_tuning"}
CLAIM = {"id": "A1", "statement": "x", "source": "y", "backbone": "tiny", "metric": "rmse", "direction": "lower"}


def profile(damage: str, says: str, **changes: Any) -> Case:
    content = {"molecules": {**GOOD, **changes}}
    return Case(damage, "run -p mine.yaml -o out", says, {"mine.yaml": json.dumps(content)})


def file(damage: str, content: str | bytes, says: str) -> Case:
    return Case(damage, "plan -p mine.yaml -o out", says, {"mine.yaml": content})


FILES = [
    Case("a profile that there is not", "run -p quik -o out", "did you mean quick"),
    Case("a file that there is not", "run -p nowhere.yaml -o out", "nowhere.yaml: No such file"),
    Case("a folder for a profile", "plan -p mine.yaml -o out", "mine.yaml", {"mine.yaml": None}),
    file("an empty profile", "", "mine.yaml"),
    file("no YAML", "molecules: [", "mine.yaml: not valid YAML"),
    file("a profile that is no UTF-8", b"molecules: \xff", "mine.yaml: not UTF-8"),
    file("a profile that is a list", "- molecules", "mine.yaml: must be a mapping"),
    file("a key twice", "molecules: {}\nmolecules: {}\n", "the key 'molecules' stands twice"),
    file("a suite that is a number", "3: {}", "a key: must be a text, not 3"),
    file("a suite misspelt", json.dumps({"molecule": GOOD}), "did you mean molecules?"),
    file("a number that is none", "molecules: {timeout: .nan}", "nan is no finite number"),
    file("an object of Python", "!!python/object/apply:os.system ['true']", "mine.yaml: not valid YAML"),
    file("a suite of nothing", "molecules:", "molecules"),
]
KEYS = [
    profile("a key misspelt", "unknown key 'sedes'; did you mean seeds", sedes=3),
    profile("a method misspelt", "did you mean full_tuning, prefix", methods=["ful_tuning"]),
    profile("a task misspelt", "did you mean synthetic, synthetic_gen", tasks=["sythetic"]),
    profile("a backbone misspelt", "did you mean tiny", backbones=["tinny"]),
    profile("a task of another suite", "unknown task 'digits'", tasks=["digits"]),
    profile("an option misspelt", "did you mean learning_rate?", methods=[ROW | {"config": {"learningrate": 1}}]),
    profile("an option in words", "learning_rate", methods=[ROW | {"config": {"learning_rate": "fast"}}]),
    profile("a budget misspelt", "did you mean epochs?", budget={"epoch": 3}),
    profile("a truth for a number", "epochs is True: it must be", budget={"epochs": True}),
    profile("no tasks", "'tasks' must be a list", tasks=[]),
    profile("no seeds", "seeds must be a whole number", seeds=0),
    profile("a truth for seeds", "seeds must be a whole number", seeds=True),
    profile("half a seed", "seeds must be a whole number", seeds=1.5),
    profile("a truth for a time limit", "timeout must be a number of seconds", timeout=True),
    profile("a time limit below zero", "timeout must be a number of seconds", timeout=-1),
    profile("a dtype misspelt", "did you mean float32", dtype="float23"),
    profile("a mapping as a backbone", "backbones: must be a text", backbones=[{"a": 1}]),
    profile("a number for rows", "tasks, rows: must be a list, not 3", tasks=[{"name": "synthetic", "rows": 3}]),
    profile("rows that there are not", "nosuch", tasks=[{"name": "synthetic", "rows": ["nosuch"]}]),
    profile("a number for backbones", "methods, backbones: must be a list, not 3", methods=[ROW | {"backbones": 3}]),
    profile("a row without a name", "an entry without `name`", methods=[{"label": "x"}]),
    profile("a role that there is not", "unknown role 'winner'", methods=[ROW | {"role": "winner"}]),
    profile("an empty chain", "a chain must be a list with at least one method", methods=[{"chain": []}]),
    profile("a chain with a name", "put these into the chain", methods=[ROW | {"chain": ["full_tuning"]}]),
    profile("a task twice", "synthetic of the row 'full_tuning' stands twice", tasks=["synthetic", "synthetic"]),
    profile("a backbone twice", "tiny stands twice", backbones=["tiny", "tiny"]),
    profile("a label twice", "two rows have the label", methods=["full_tuning", "full_tuning"]),
    profile(
        "rows that differ by label alone", "are the same but for their labels", methods=[ROW, ROW | {"label": "b"}]
    ),
    profile("a number for claims", "claims: must be a list, not 3", claims=3),
    profile("half a claim", "A1 has no 'tasks' and no 'rows'", claims=[CLAIM]),
    profile(
        "a claim of one row",
        "must name two rows or more",
        claims=[CLAIM | {"tasks": ["synthetic"], "rows": ["full_tuning"]}],
    ),
    profile(
        "a claim of a row that there is not",
        "'nosuch', which is not listed",
        claims=[CLAIM | {"tasks": ["synthetic"], "rows": ["full_tuning", "nosuch"]}],
    ),
]
OPTIONS = [
    Case("a suite that there is not", "run -s vtap -o out", "did you mean vtab?"),
    Case("a suite said twice", "vtab run -s vtab -o out", "say it twice"),
    Case("no suite of the profile", "plan -p {profile} -s vtab -o out", "has nothing for vtab"),
    Case("a row that there is not", "vtab run -m linear_prob -o out", "did you mean linear_probe"),
    Case("a chain without its end", "run -p {profile} -m full_tuning+ -o out", "is no chain of methods"),
    Case("a chain with a row that there is not", "plan -p {profile} -m full_tuning+nosuch -o out", "nosuch"),
    Case("a task that there is not", "run -p {profile} -t sythetic -o out", "did you mean synthetic"),
    Case("a backbone that there is not", "plan -p {profile} -b tinny -o out", "did you mean tiny"),
    Case(
        "rows and tasks of two suites", "run -p quick -m graph_mixup -t trec6 -o out", "no suite has one of the named"
    ),
    Case("a device that there is not", "run -p {profile} --device gpu -o out", "did you mean cpu?"),
    Case("a graphics card that there is not", "run -p {profile} --device cuda:99 -o out", "--device cuda:99"),
    Case("another dtype", "plan -p {profile} --dtype float23 -o out", "did you mean float32"),
    Case("a setting of nothing", "run -p {profile} --set rank -o out", "write KEY=VALUE"),
    Case("a setting that no row has", "plan -p {profile} --set method.rnak=8 -o out", "no row has an option 'rnak'"),
    Case("a setting of a row that there is not", "run -p {profile} --set lora.rank=8 -o out", "lora"),
    Case("a setting of another type", "plan -p {profile} --set full_tuning.learning_rate=fast -o out", "fast"),
    Case("a setting that is no value", "run -p {profile} --set 'seeds=[' -o out", "is no value as in YAML"),
    Case(
        "two lengths of training",
        "plan -p {profile} --set budget.steps=2 --set budget.epochs=1 -o out",
        "training lasts one of",
    ),
    Case("a budget that there is not", "run -p {profile} --set budget.step=2 -o out", "a budget has no 'step'"),
    Case("no seed", "run -p {profile} --seeds 0 -o out", "--seeds"),
    Case("no example", "plan -p {profile} --limit 0 -o out", "--limit"),
    Case("another executor", "run -p {profile} --executor slurm -o out", "unknown executor 'slurm'"),
    Case("an address for nobody", "run -p {profile} --address host:1 -o out", "has no use for it"),
    Case("too little memory", "run -p {profile} --memory 0.1 -o out", "--memory"),
    Case("a tracker that there is not", "run -p {profile} --log-with tensorbord -o out", "did you mean tensorboard"),
    Case("another reuse", "run -p {profile} --reuse sometimes -o out", "--reuse"),
]
OUTS = [
    Case(
        "a result folder below a file", "run -p {profile} -o file/out", "choose another folder with --out", {"file": ""}
    ),
    Case("a file for a result folder", "run -p {profile} -o file", "choose another folder with --out", {"file": ""}),
    Case(
        "results of a newer schema",
        "run -p {profile} -o out",
        "upgrade",
        {f"out/{MARKER}": json.dumps({"schema_version": SCHEMA_VERSION + 1})},
    ),
    Case("results of no schema", "run -p {profile} -o out", MARKER, {f"out/{MARKER}": "{"}),
    Case("a plan that is none", "report results", "plan.json", make=copied("results", replaced("plan.json", "{"))),
]
CASES = [*FILES, *KEYS, *OPTIONS, *OUTS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_profiles_of_nothing(case: Case, refused: Callable[[Case], None]) -> None:
    refused(case)
