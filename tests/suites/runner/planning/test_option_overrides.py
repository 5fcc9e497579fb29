"""`--set method.OPTION=VALUE`: which rows it reaches, and what they are called then."""

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.option_overrides import Setting, with_option, with_setting
from sparsebench.suites.runner.planning.profile import SuitePlan, load_profile, narrow
from sparsebench.suites.runner.planning.rows import Row, chain_of, read_row


@pytest.fixture
def plan() -> SuitePlan:
    return load_profile("quick", ["llm"]).plans[0]


def test_every_row_that_has_the_option_and_no_other(plan: SuitePlan) -> None:
    notes: list[str] = []
    (changed,) = with_option([plan], Setting("method.rank", 4), notes)
    new = {row.label: row.chain[0].config for row in changed.methods if row not in plan.methods}
    assert set(new) == {"Pfeiffer r=16, rank=4", "LoRA r=16, rank=4", "iDAT Pfeiffer r=16, same size, rank=4"}
    assert all(config["rank"] == 4 and config["blocks"] == 2 for config in new.values())
    assert len(notes) == 1
    count = len(plan.methods)
    assert notes[0].startswith(f"--set method.rank=4 does not reach {count - 3} of {count} rows: dense, ")


def test_one_method_and_the_tasks_that_name_its_rows(plan: SuitePlan) -> None:
    notes: list[str] = []
    (changed,) = with_option([plan], Setting("lora.rank", 4), notes)
    assert [row.label for row in changed.methods if row not in plan.methods] == ["LoRA r=16, rank=4"]
    trec6 = next(task for task in changed.tasks if task.name == "trec6")
    assert "LoRA r=16, rank=4" in trec6.rows and "LoRA r=16" not in trec6.rows
    assert notes == []


def test_a_task_may_be_for_rows_that_were_not_chosen(plan: SuitePlan) -> None:
    chosen = narrow(plan, ["moe_random+lora"], [], [], None)
    (changed,) = with_option([chosen], Setting("lora.rank", 4), [])
    assert [row.chain[1].config for row in changed.methods] == [{"rank": 4}]
    (label,) = (row.label for row in changed.methods)
    added = [(label,) for _ in plan.tasks]
    assert [task.rows for task in changed.tasks] == [*(task.rows for task in plan.tasks), *added]


def test_labels_show_what_was_set() -> None:
    plain = with_setting(Row(chain_of("lora")), Setting("method.rank", 4))
    assert plain is not None and plain.label == "lora(rank=4)"
    again = with_setting(plain, Setting("method.rank", 2))
    assert again is not None and again.label == "lora(rank=2)"
    assert with_setting(plain, Setting("method.rank", 4)) == plain
    chain = read_row({"chain": ["cmoe", "lora"], "label": "both"}, "here")
    one = with_setting(chain, Setting("cmoe.top_k", 2))
    assert one is not None and one.label == "both, cmoe.top_k=2"
    assert [link.config for link in one.chain] == [{"top_k": 2}, {}]
    both = with_setting(chain, Setting("method.learning_rate", 0.1))
    assert both is not None and [link.config for link in both.chain] == [{"learning_rate": 0.1}] * 2
    assert with_setting(chain, Setting("method.trees", 3)) is None


def test_what_trains_is_set_where_the_row_says_it() -> None:
    row = read_row({"name": "cmoe", "train": "head", "label": "x"}, "here")
    changed = with_setting(row, Setting("method.train", "all"))
    assert changed is not None and changed.train == "all" and changed.chain == row.chain
    assert changed.label == "x, train=all"


def test_rows_that_become_equal_run_once(plan: SuitePlan) -> None:
    notes: list[str] = []
    (changed,) = with_option([plan], Setting("sparse_adapter.criterion", "snip"), notes)
    assert len(changed.methods) == len(plan.methods) - 1
    assert notes == [
        "--set sparse_adapter.criterion=snip makes 'SparseAdapter r=64@25% random' the same as "
        "'SparseAdapter r=64@25% SNIP, criterion=snip': it runs once"
    ]
    labels = {row.label for row in changed.methods}
    for task in changed.tasks:
        assert set(task.rows) <= labels and len(set(task.rows)) == len(task.rows)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("method.rnak", 4, "no row has an option 'rnak'; did you mean rank"),
        ("lora.rnak", 4, "lora has no option 'rnak'; did you mean rank"),
        ("lorra.rank", 4, "there is no such method; did you mean lora"),
        ("ssf.init", 4, "no row of the profile has this method"),
        ("sparse_adapter.criterion", "snap", "criterion takes 'snip' .*, not 'snap'; did you mean snip"),
    ],
)
def test_what_cannot_be_set(plan: SuitePlan, key: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_option([plan], Setting(key, value), [])
