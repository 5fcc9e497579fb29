"""What files say of the options of methods, against the classes themselves."""

import dataclasses

import pytest

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.runner.discovery.loading import load_class, load_method
from sparsebench.suites.runner.discovery.options import budget_options, options_of
from sparsebench.suites.runner.discovery.registry import entries


def test_options_are_the_fields_of_the_class_with_their_defaults(subtests: pytest.Subtests) -> None:
    for name in entries("method"):
        with subtests.test(name=name):
            entry = entries("method")[name]
            options = options_of(entry)
            fields = dataclasses.fields(load_class(entry, Method))
            assert list(options) == [field.name for field in fields]
            for field in fields:
                assert eval(options[field.name].default) == field.default


def test_every_option_of_every_method_is_explained(subtests: pytest.Subtests) -> None:
    for name in entries("method"):
        with subtests.test(name=name):
            for option in options_of(entries("method")[name]).values():
                assert option.text.endswith("."), (
                    f"{name}: write a string below the field {option.name!r} that explains it"
                )
                assert option.kind


def test_every_allowed_value_is_taken_by_the_class(subtests: pytest.Subtests) -> None:
    for name in entries("method"):
        with subtests.test(name=name):
            entry = entries("method")[name]
            for option in options_of(entry).values():
                for value in option.allowed:
                    given = [value] if option.kind.startswith("tuple[") else value
                    try:
                        load_method(entry, {option.name: given})
                    except ValueError as error:  # a value may not go with the other options; the type must allow it
                        assert "Input should be" not in str(error)


def test_an_option_that_came_later_says_so_and_shows_its_own_type() -> None:
    option = options_of(entries("method")["continual_pretraining"])["keep_zeros"]
    assert option.later
    assert option.kind == "bool"
    assert not options_of(entries("method")["continual_pretraining"])["train"].later


def test_every_field_of_a_budget_is_explained() -> None:
    options = budget_options()
    assert list(options) == [field.name for field in dataclasses.fields(Budget)]
    assert all(option.text for option in options.values())


def test_aliases_and_constants_are_resolved() -> None:
    options = options_of(entries("method")["sparse_adapter"])
    assert options["adapter"].allowed == ("bottleneck", "houlsby", "pfeiffer", "parallel", "lora", "mam")
    assert options["blocks"].kind == "'all' | int"
    assert options["blocks"].allowed == ("all",)
