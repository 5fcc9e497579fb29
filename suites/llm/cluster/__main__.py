"""Command line of the recipes.

    python -m sparsebench.suites.llm.cluster plan v1_8gpu
    python -m sparsebench.suites.llm.cluster convert v1_8gpu --model llama-2-7b --data my_texts --out out
    torchrun --nproc-per-node 8 -m sparsebench.suites.llm.cluster train v1_8gpu --data my_texts --out out

`plan` reckons from shapes. `convert` writes OUT/start in one process. `train` runs the stages one after another, and
goes on where it was stopped. DATA has a folder for each stage, named after it: for text a folder of files for each
domain, for conversations .jsonl files in the messages form.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sparsebench.data.errors import DataError
from sparsebench.models.errors import ModelError

from .plan import plan as reckon
from .recipe import Recipe, read_recipe, recipe_names
from .stages import Run, prepare
from .stages import train as train_stage

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)

Name = Annotated[str, typer.Argument(help=f"{', '.join(recipe_names())}, or a .yaml file.")]
Preset = Annotated[str | None, typer.Option(help="Conversion; by default the recipe's first.")]
Data = Annotated[Path, typer.Option(help="Folder with a folder for each stage.")]
Out = Annotated[Path, typer.Option(help="Folder of the results.")]
Over = Annotated[int, typer.Option(help="GPUs over which the experts are shared out (stock export).")]


@app.command()
def plan(recipe: Name, preset: Preset = None) -> None:
    """Parameters, memory of a GPU, tokens of a step, and steps."""
    with _errors_in_a_line():
        for line in reckon(_read(recipe), preset).lines():
            typer.echo(line)


@app.command()
def convert(
    recipe: Name,
    model: Annotated[str, typer.Option(help="The dense model: a folder, or a name on the hub.")],
    data: Data,
    out: Out,
    preset: Preset = None,
    experts_over: Over = 1,
) -> None:
    """Cut the dense model into experts."""
    with _errors_in_a_line():
        prepare(Run(recipe=_read(recipe), out=out, data=data, experts_over=experts_over), model, preset)


@app.command()
def train(
    recipe: Name,
    data: Data,
    out: Out,
    experts_over: Over = 1,
    repeat: Annotated[bool, typer.Option(help="Text that is used up begins again.")] = False,
    save_steps: Annotated[int, typer.Option(help="Steps between two checkpoints.")] = 200,
    log_steps: Annotated[int, typer.Option(help="Steps between two lines.")] = 10,
) -> None:
    """Run all stages."""
    with _errors_in_a_line():
        run = Run(
            recipe=_read(recipe),
            out=out,
            data=data,
            experts_over=experts_over,
            repeat=repeat,
            save_steps=save_steps,
            log_steps=log_steps,
        )
        for stage in run.recipe.stages:
            train_stage(run, stage)


def _read(name: str) -> Recipe:
    return read_recipe(name)


@contextmanager
def _errors_in_a_line() -> Iterator[None]:
    """What the user can mend: no traceback."""
    try:
        yield
    except (ValueError, ModelError, DataError) as error:
        raise typer.BadParameter(str(error)) from error


if __name__ == "__main__":
    app()
