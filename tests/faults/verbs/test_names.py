"""`new`, `show`, `check`, `list`, `prepare`, `reproduce`, and words that no command knows."""

from collections.abc import Callable

import pytest

from .catalogue import Case

NEW = [
    Case("another kind", "new methd mine", "there is no template of a 'methd'; did you mean method"),
    Case("no name", "new method", "Missing argument 'name'"),
    Case("a name in capitals", "new method MyMethod", "the name 'MyMethod' must be small letters"),
    Case("a name with a path", "new method ../mine", "the name '../mine' must be small letters"),
    Case("a word of Python", "new router lambda", "the name 'lambda' must be small letters"),
    Case("a module that is installed", "new adapter torch", "a Python module 'torch' is installed already"),
    Case("a method that there is", "new method linear_probe", "there is a method 'linear_probe' already"),
    Case("a task of a suite that there is not", "new task mine -s vtap", "no template of a task in 'vtap'"),
    Case("a task of language", "new task mine -s llm", "texts of yours are the task own_text"),
    Case("a package that is there", "new method mine", "mine is there already", {"mine": None}),
    Case("no folder to write into", "new method mine no/such/folder", "there is no folder no/such"),
    Case("a package below a file", "new method mine file/mine", "there is no folder file", {"file": ""}),
]
SHOWN = [
    Case("a name misspelt", "show linear_prob", "did you mean linear_probe"),
    Case("no name to show", "show", "Missing argument 'name'"),
    Case("an empty name", "show ''", "''"),
    Case("a method misspelt", "check linear_prob", "did you mean linear_probe"),
    Case("a backbone, which has no battery", "check small_llama", "small_llama"),
    Case("a kind misspelt", "list methds", "did you mean methods"),
    Case("a suite misspelt", "list -s vtap", "did you mean vtab?"),
    Case("a source misspelt", "prepare --source digit", "unknown source 'digit'; did you mean digits"),
]
TABLES = [
    Case("a table misspelt", "reproduce v1-tabel-2", "did you mean v1-table-2"),
    Case("data that nobody has", "reproduce padnet-glue --run", "the training parts of GLUE are in no package"),
    Case("no checkpoint", "reproduce v1-table-2 --run", "needs --checkpoint"),
    Case("a checkpoint that is not there", "reproduce v1-table-2 -c nowhere", "nowhere"),
    Case("a stand-in and a checkpoint", "reproduce v1-table-2 --stand-in -c x", "leave one of the two out"),
    Case("data that are not there", "reproduce petl-vision --stand-in --data none", "none is no folder"),
    Case("a device that there is not", "reproduce moses-baselines --run --device gpu", "must be auto, cpu, cuda"),
]
WORDS = [
    Case("a command misspelt", "reprot out", "reprot"),
    Case("a command of a suite misspelt", "molecules encde a b", "encde"),
    Case("an option of nobody", "report out --colour red", "--colour"),
    Case("an option without its value", "report out --out", "--out"),
]
CASES = [*NEW, *SHOWN, *TABLES, *WORDS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_names_of_nothing(case: Case, refused: Callable[[Case], None]) -> None:
    refused(case)
