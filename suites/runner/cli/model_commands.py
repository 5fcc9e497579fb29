"""`import`, `convert`, `compress`, `export`: a model in, a folder out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..interrupts import INTERRUPTED, end_in_order
from . import model_options as options
from .options import JsonOption
from .output import announce, print_json, say

if TYPE_CHECKING:
    from ...model_tools.outcome import Outcome

DOCUMENTS = 21
WINDOWS = 64


def import_(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A folder, a file, or a model's name on the hub.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    layout: Annotated[str | None, typer.Option(help="Its layout, where it is not recognised.")] = None,
) -> None:
    """A checkpoint in the layout of a paper's own code, as a folder that sparsebench.models.load opens.

    Every tensor is read, or nothing is written. What the checkpoint cannot tell is said.
    """
    announce(f"reading {source}")
    from sparsebench.models.official import import_official

    found = import_official(source, out, layout=layout)
    say(f"{found.title} (layout {found.layout}): {found.tensors} tensors, {found.parameters:,} parameters, all read")
    for line in found.unknown:
        say(f"not told by the checkpoint: {line}")
    say(f"written to {out}; in Python: sparsebench.models.load({str(out)!r})")


def convert(
    model: options.ModelArgument,
    out: options.OutArgument,
    recipe: options.RecipeOption = None,
    preset: options.PresetOption = None,
    experts: options.ExpertsOption = None,
    top_k: options.TopKOption = None,
    shared: options.SharedOption = None,
    split: options.SplitOption = None,
    faithful: options.FaithfulOption = False,
    heal: options.HealOption = None,
    target: options.TargetOption = None,
    ignore: options.IgnoreOption = None,
    calibration: options.CalibrationOption = None,
    held_out: options.HeldOutOption = None,
    documents: options.DocumentsOption = DOCUMENTS,
    windows: options.WindowsOption = WINDOWS,
    seed: options.SeedOption = 0,
    device: options.PlaceOption = "cpu",
    json: JsonOption = False,
) -> None:
    """A dense language model becomes a mixture of experts.

    By a preset of a paper, or by numbers of your own: `--experts 8 --top-k 2 --shared 2`. At the end a table: size,
    loss on held-out text before and after with its interval, speed, and what opens the folder.
    """
    _run("convert", out, json, dict(locals()))


def compress(
    model: options.ModelArgument,
    out: options.OutArgument,
    recipe: options.RecipeOption = None,
    keep_experts: options.KeepOption = None,
    how: options.HowOption = None,
    score: options.ScoreOption = None,
    drop_layers: options.LayersOption = None,
    drop_attentions: options.AttentionsOption = None,
    drop_blocks: options.BlocksOption = None,
    sparsity: options.SparsityOption = None,
    pruning: options.PruningOption = None,
    pattern: options.PatternOption = None,
    budget: options.BudgetOption = None,
    heal: options.HealOption = None,
    bits: options.BitsOption = None,
    method: options.RoundingOption = None,
    group_size: options.GroupOption = None,
    zero_points: options.ZeroPointsOption = False,
    part: options.PartsOption = None,
    target: options.TargetOption = None,
    ignore: options.IgnoreOption = None,
    calibration: options.CalibrationOption = None,
    held_out: options.HeldOutOption = None,
    documents: options.DocumentsOption = DOCUMENTS,
    windows: options.WindowsOption = WINDOWS,
    seed: options.SeedOption = 0,
    device: options.PlaceOption = "cpu",
    json: JsonOption = False,
) -> None:
    """A language model with fewer experts, layers, weights or bits.

    `--keep-experts 0.75 --bits 4` drops, then rounds: options are carried out in the order of this list, steps of a
    recipe in its own. At the end a table: size, loss on held-out text before and after, speed, what opens the folder.
    """
    _run("compress", out, json, dict(locals()))


def export(
    model: options.ModelArgument,
    out: options.OutArgument,
    engine: options.EngineOption = "transformers",
    to: options.ToOption = None,
    dense: options.DenseOption = False,
    held_out: options.HeldOutOption = None,
    documents: options.DocumentsOption = DOCUMENTS,
    json: JsonOption = False,
) -> None:
    """A model as a stock folder, for programs that know nothing of this package; its tokenizer goes along.

    What no stock architecture can say is refused, in one line. Then plain transformers opens the folder, where it can,
    and its outputs are compared with those of the model.
    """
    _run("export", out, json, dict(locals()))


def _run(verb: str, out: Path, json: bool, values: dict[str, Any]) -> None:
    """Call the function of this name with what the command was given."""
    announce(f"starting to {verb} {values['model']}", err=True)
    from sparsebench.models.hub.atomic_folder import check_free

    check_free(out)  # before what takes longer to import
    from ... import model_tools

    del values["json"]
    if "part" in values:
        values["parts"] = values.pop("part")
    call: Callable[..., Outcome] = getattr(model_tools, verb)
    end_in_order()
    try:
        outcome = call(**values, say=lambda line: say(line, err=True))
    except KeyboardInterrupt:
        left = "it was written whole; only the measuring was stopped" if out.is_dir() and any(out.iterdir()) else ""
        say(f"sparsebench: stopped; {left or 'nothing was written'}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if json:
        print_json(outcome.document())
    else:
        say(str(outcome))
