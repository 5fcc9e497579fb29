"""Command line of the answers.

    python -m sparsebench.suites.llm.answers mt_bench question.jsonl answers.jsonl --model my_model
    python -m sparsebench.suites.llm.answers alpaca_eval questions.json answers.json --model my_model

MODEL is a folder, or a name on the hub; beside the answers lies why there is no verdict.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..pretrained import load_pretrained
from .formats import VERDICT, Format, write_answers
from .writing import MOST_TOKENS, converse

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False)


@app.command()
def main(
    form: Annotated[Format, typer.Argument(help="mt_bench or alpaca_eval.")],
    questions: Annotated[Path, typer.Argument(help="The benchmark's file of questions.", exists=True)],
    answers: Annotated[Path, typer.Argument(help="The file to be written.")],
    model: Annotated[str, typer.Option(help="A folder, or a name on the hub.")],
    most_tokens: Annotated[int, typer.Option(help="Of an answer.", min=1)] = MOST_TOKENS,
) -> None:
    """Let a model answer, greedily."""
    try:
        lm = load_pretrained(model)
        count = write_answers(form, questions, answers, model, partial(converse, lm, most_tokens=most_tokens))
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{count} answers in {answers}; verdict {VERDICT['verdict']}: {VERDICT['reason']}")


if __name__ == "__main__":
    app()
