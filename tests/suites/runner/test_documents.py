"""What `--json` prints is read by its schema, and nothing else stands on stdout."""

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from sparsebench.suites.runner import documents
from sparsebench.suites.runner.documents import CompareDocument, DoctorDocument, ListDocument, PlanDocument

QUICK = Path(__file__).parents[3] / "reports" / "results" / "quick"


def check(value: Any, kind: Any, where: str = "document") -> None:
    """That a value is of a type, strictly: no key more, no key less."""
    origin = get_origin(kind)
    if kind is Any:
        return
    if is_typeddict(kind):
        hints = get_type_hints(kind)
        assert value.keys() == hints.keys(), where
        for name, inner in hints.items():
            check(value[name], inner, f"{where}.{name}")
    elif origin is Literal:
        assert value in get_args(kind), where
    elif origin in (list, dict):
        assert isinstance(value, origin), where
        for key, inner in value.items() if origin is dict else enumerate(value):
            check(inner, get_args(kind)[-1], f"{where}[{key}]")
    elif origin is UnionType:
        if value is not None:
            (plain,) = [part for part in get_args(kind) if part is not NoneType]
            check(value, plain, where)
    else:
        assert type(value) is kind or (kind is float and type(value) is int), f"{where}: {value!r} is no {kind}"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["list"], ListDocument),
        (["vtab", "list"], ListDocument),
        (["plan", "--profile", "smoke", "--suite", "vtab"], PlanDocument),
        (["doctor"], DoctorDocument),
        (["compare", str(QUICK), "linear_probe", "LoRA r=16"], CompareDocument),
    ],
)
def test_documents_are_read_by_their_schema(bench, arguments: list[str], kind: Any) -> None:
    done = bench.call(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    check(document, kind)
    command = arguments[1] if arguments[0] == "vtab" else arguments[0]
    assert document["schema"] == f"sparsebench/{command}/1"
    assert done.stdout.isascii()


def test_every_document_and_each_of_its_schemas_is_explained() -> None:
    for name, kind in vars(documents).items():
        if name.endswith("Document"):
            assert kind.__doc__, name


def test_a_key_too_much_and_a_wrong_type_are_found() -> None:
    document = {"schema": "sparsebench/doctor/1", "environment": {}, "findings": []}
    check(document, DoctorDocument)
    for wrong in ({"x": 1}, {"environment": None}, {"findings": [{"level": "odd", "text": ""}]}):
        with pytest.raises(AssertionError):
            check({**document, **wrong}, DoctorDocument)


def test_a_comparison_says_the_same_in_text_and_json(bench) -> None:
    rows = (str(QUICK), "linear_probe", "LoRA r=16", "--suite", "llm")
    (line,) = json.loads(bench.call("compare", *rows, "--json").stdout)["lines"]
    assert line["task"] == "trec6" and line["outcome"] == "worse" and line["pairs"] == 3
    assert line["difference"] < 0 and line["half_width"] > 0
    assert f"{100 * line['difference']:.1f}".replace("-", "−") in bench.call("compare", *rows).stdout.replace("-", "−")
