"""The commands put together, and what becomes of mistakes."""

import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from sparsebench.data.errors import DataError, reason_of
from sparsebench.models.errors import ModelError
from sparsebench.reports.records.record_limits import RecordError
from sparsebench.reports.records.store_errors import StoreError
from sparsebench.reports.records.visible import visible

from ..discovery.registry import suites
from ..errors import ExecutorError, UsageError
from .export_command import export_results, take_out
from .fit_commands import fit, predict
from .list_commands import check, doctor, list_, new, show
from .model_commands import compress, convert, export, import_
from .molecule_commands import COMMANDS as MOLECULE_COMMANDS
from .options import VersionOption
from .output import use_plain_signs
from .reproduce_command import reproduce
from .result_commands import compare, freeze, report, verify, vouch
from .run_commands import plan, prepare, run
from .speed_command import speed

WRONG_WORDS: Any = typer.BadParameter.__mro__[1]
"""What typer raises for words that no command knows; typer has no public name of it."""
USAGE_ERRORS = (UsageError, DataError, StoreError, RecordError, ExecutorError, ModelError)

EXIT_CODES = (
    "Exit codes: 0 done; 1 a cell has no score, a rule is broken, or the output was closed (`| head`); "
    "2 a mistake in the command or its files, in one line; 130 stopped by Ctrl-C."
)


class Commands(TyperGroup):
    """Several commands. A flag that is not given is False and not None, for which typer would import pydantic."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options before the name of a command, `--help` too."""
        found = super().get_params(ctx)
        for option in found:
            if getattr(option, "is_flag", False) and option.default is None:
                option.default = False
        return found


app = typer.Typer(
    name="sparsebench",
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
for _name, _function in (
    ("list", list_),
    ("show", show),
    ("plan", plan),
    ("prepare", prepare),
    ("run", run),
    ("report", report),
    ("speed", speed),
    ("compare", compare),
    ("verify", verify),
    ("vouch", vouch),
    ("freeze", freeze),
    ("export-results", export_results),
    ("take-out", take_out),
    ("import", import_),
    ("convert", convert),
    ("compress", compress),
    ("export", export),
    ("fit", fit),
    ("predict", predict),
    ("reproduce", reproduce),
    ("new", new),
    ("check", check),
    ("doctor", doctor),
):
    app.command(_name)(_function)


@app.callback(epilog=EXIT_CODES)
def start(version: VersionOption = False) -> None:
    """Sparse and dynamic neural modules, compared fairly in language, vision and chemistry."""


def main() -> None:
    """Entry point: mistakes of the user become one line on stderr and exit code 2."""
    use_plain_signs()
    try:
        sys.exit(app(standalone_mode=False))
    except WRONG_WORDS as error:
        _complain_of_words(error)
    except typer.Abort as error:  # typer's word for EOFError
        _complain(f"something ended before its end: {error.__cause__}")
    except USAGE_ERRORS as error:
        _complain(reason_of(error))
    except OSError as error:
        _complain(f"{error.filename or 'the system'}: {error.strerror or error}")


def _complain_of_words(error: Any) -> NoReturn:
    """In one line; nothing where typer has printed the help in its place."""
    message = " ".join(error.format_message().split()).rstrip(".")
    if message:
        command = error.ctx.command_path if error.ctx else "sparsebench"
        _complain(f"{message}; see `{command} --help`")
    sys.exit(error.exit_code)


def _complain(text: str) -> NoReturn:
    sys.stderr.write(f"sparsebench: {visible(text)}\n")
    sys.exit(2)


VERBS = {"molecules": MOLECULE_COMMANDS}
"""What a suite's own models do with data of the user's."""


def _suite_app(name: str) -> typer.Typer:
    """`sparsebench <suite> list|plan|prepare|run`: the same commands, for one suite, and its own."""
    sub = typer.Typer(cls=Commands, help=f"Only the suite {name}: {suites()[name].title}.", no_args_is_help=True)

    @sub.callback()
    def choose(context: typer.Context) -> None:
        context.obj = name

    for command, function in (("list", list_), ("plan", plan), ("prepare", prepare), ("run", run)):
        sub.command(command)(function)
    for command, function in VERBS.get(name, {}).items():
        sub.command(command)(function)
    return sub


for _name in suites():
    app.add_typer(_suite_app(_name), name=_name)
