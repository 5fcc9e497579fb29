"""Every command that a table prints is one that there is, with options that it has."""

import shlex
from typing import Any

import pytest
import typer

from sparsebench.suites.llm.cluster.__main__ import app as cluster
from sparsebench.suites.runner.cli.app import app
from sparsebench.suites.runner.planning.profile import built_in
from sparsebench.suites.runner.show.reproduction.commands import CLUSTER, commands, place
from sparsebench.suites.runner.show.reproduction.plan import plan_of, plans


def parse(line: str) -> str:
    """Parse as the command line does, without calling anything; gives the command's name."""
    words = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(app)
    if words[0] != "sparsebench":
        module = words.index(CLUSTER)
        assert words[module - 1] == "-m" and words[0] in ("python", "torchrun")
        command = typer.main.get_command(cluster)
        words = words[module:]
    words.pop(0)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return command.make_context(command.name, words).command_path


def test_every_command_parses(subtests: pytest.Subtests) -> None:
    for name, plan in plans().plans.items():
        with subtests.test(name):
            for line in commands(name, plan):
                assert parse(line) in line


def test_a_wrong_option_does_not_parse() -> None:
    with pytest.raises(Exception, match="--chekpoint"):
        parse("sparsebench reproduce v1-table-2 --chekpoint x")


def test_studies_that_ask_the_same_are_built_in() -> None:
    for plan in plans().plans.values():
        assert not plan.nearest or plan.nearest in built_in()


def test_a_profile_is_imported_planned_and_run() -> None:
    lines = commands("graphsgpt-moses", plan_of("graphsgpt-moses"))
    assert lines[0] == "sparsebench import DaizeDong/GraphsGPT-1W checkpoints/GraphsGPT-1W"
    assert lines[1].startswith("sparsebench molecules plan --profile reproduce-graphsgpt --task moses_generation")
    assert lines[2] == "sparsebench reproduce graphsgpt-moses --checkpoint GraphsGPT-1W=checkpoints/GraphsGPT-1W"
    assert lines[3].startswith("sparsebench reproduce graphsgpt-moses --stand-in")
    assert "sparsebench reproduce moses-baselines --run" in commands("moses-baselines", plan_of("moses-baselines"))


def test_what_is_impossible_has_the_study_alone() -> None:
    (line,) = commands("padnet-glue", plan_of("padnet-glue"))
    assert line.startswith("sparsebench run --profile claims-padnet")


def test_where_checkpoints_are_expected() -> None:
    assert place(plan_of("compression-mixtral"), "mistralai/Mixtral-8x7B-v0.1") == "mistralai/Mixtral-8x7B-v0.1"
    assert place(plan_of("vtab"), "imagenet21k/ViT-B_16.npz") == "checkpoints/ViT-B_16.npz"
    assert place(plan_of("petl-vision"), "timm/vit_x") == "checkpoints/vit_x/model.safetensors"
