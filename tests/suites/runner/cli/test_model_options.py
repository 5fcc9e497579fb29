"""The options of the verbs: help texts name what there is, and each option is one of the functions."""

import inspect

import typer.main

from sparsebench.models.moe import PRESETS
from sparsebench.suites.model_tools import verbs
from sparsebench.suites.model_tools._options import ChangeOptions
from sparsebench.suites.model_tools._presets import preset_names
from sparsebench.suites.runner.cli import model_commands
from sparsebench.suites.runner.cli.app import app


def test_the_help_names_every_preset() -> None:
    assert set(preset_names()) == set(PRESETS)
    command = typer.main.get_command(app).commands["convert"]  # type: ignore[attr-defined]
    (option,) = [parameter for parameter in command.params if parameter.name == "preset"]
    assert all(name in option.help for name in PRESETS)


def test_commands_and_functions_take_the_same() -> None:
    for name in ("convert", "compress", "export"):
        given = dict(inspect.signature(getattr(model_commands, name)).parameters)
        wanted = inspect.signature(getattr(verbs, name)).parameters
        known = {*wanted, *(ChangeOptions.__annotations__ if "options" in wanted else ())}
        assert set(given) - {"json"} - {"part"} <= known
        for parameter in given.keys() & wanted.keys():
            assert given[parameter].default == wanted[parameter].default, (name, parameter)
