"""Options of `convert`, `compress` and `export`."""

from pathlib import Path
from typing import Annotated

import typer

from ...model_tools._presets import preset_names
from .options import LARGEST_SEED

CUT = "Cut into experts"
TRIM = "Take parts out"
WEIGHTS = "Change weights"
TEXT = "Text, and how it is done"

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, or a name on the hub.")]
OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="A new folder: it appears whole or not at all.")]
RecipeOption = Annotated[
    Path | None, typer.Option("--recipe", help="A YAML file of steps (suites/README.md), in place of options.")
]

PresetOption = Annotated[
    str | None,
    typer.Option("--preset", help=f"Settings of a paper: {', '.join(preset_names())}.", rich_help_panel=CUT),
]
ExpertsOption = Annotated[
    int | None, typer.Option("--experts", help="Blocks of neurons, those always on included.", rich_help_panel=CUT)
]
TopKOption = Annotated[int | None, typer.Option("--top-k", help="Experts of a token.", rich_help_panel=CUT)]
SharedOption = Annotated[int | None, typer.Option("--shared", help="Experts always on.", rich_help_panel=CUT)]
SplitOption = Annotated[
    str | None,
    typer.Option("--split", help="Which neurons go together: random, cluster, coact, ...", rich_help_panel=CUT),
]
FaithfulOption = Annotated[
    bool, typer.Option("--faithful", help="The preset as its code was released.", rich_help_panel=CUT)
]

KeepOption = Annotated[
    float | None, typer.Option("--keep-experts", help="Fraction of each mixture that stays.", rich_help_panel=TRIM)
]
HowOption = Annotated[
    str | None, typer.Option("--how", help="What becomes of the others: drop, merge, mean.", rich_help_panel=TRIM)
]
ScoreOption = Annotated[
    str | None,
    typer.Option("--score", help="What ranks experts: reap, ean, frequency, mone, router, ...", rich_help_panel=TRIM),
]
LayersOption = Annotated[
    int | None, typer.Option("--drop-layers", help="FFNs or mixtures that go.", rich_help_panel=TRIM)
]
AttentionsOption = Annotated[
    int | None, typer.Option("--drop-attentions", help="Attentions that go.", rich_help_panel=TRIM)
]
BlocksOption = Annotated[int | None, typer.Option("--drop-blocks", help="Blocks that go.", rich_help_panel=TRIM)]

SparsityOption = Annotated[
    float | None, typer.Option("--sparsity", help="Fraction of the weights set to 0.", rich_help_panel=WEIGHTS)
]
PruningOption = Annotated[
    str | None, typer.Option("--pruning", help="By wanda, sparsegpt or magnitude.", rich_help_panel=WEIGHTS)
]
PatternOption = Annotated[
    str | None, typer.Option("--pattern", help="Of zeros: unstructured, row, 2:4, 4:8.", rich_help_panel=WEIGHTS)
]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget",
        help="Search experts, widths, layers and bits: bytes=0.5 or active=0.5[,change=experts].",
        rich_help_panel=WEIGHTS,
    ),
]
HealOption = Annotated[
    str | None,
    typer.Option("--heal", help="Train on: tokens=200k[,learning_rate=3e-4][,train=all].", rich_help_panel=WEIGHTS),
]
BitsOption = Annotated[int | None, typer.Option("--bits", help="Of a weight, 2 to 8.", rich_help_panel=WEIGHTS)]
RoundingOption = Annotated[
    str | None, typer.Option("--method", help="Of rounding: gptq, awq, rtn.", rich_help_panel=WEIGHTS)
]
GroupOption = Annotated[
    str | None,
    typer.Option("--group-size", help="Columns that share a scale, or row.", rich_help_panel=WEIGHTS),
]
ZeroPointsOption = Annotated[
    bool, typer.Option("--zero-points", help="Of each group; few engines read them.", rich_help_panel=WEIGHTS)
]
PartsOption = Annotated[
    list[str] | None,
    typer.Option("--part", help="experts, shared, attention, ffn, router (all but the last).", rich_help_panel=WEIGHTS),
]

TargetOption = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="REGEX", help="Only what has such a name.", rich_help_panel=TEXT),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="REGEX", help="Nothing that has such a name.", rich_help_panel=TEXT),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option("--calibration", help="A .txt, .jsonl or .parquet file, not packaged text.", rich_help_panel=TEXT),
]
HeldOutOption = Annotated[
    Path | None, typer.Option("--held-out", help="Such a file to measure the loss on.", rich_help_panel=TEXT)
]
DocumentsOption = Annotated[int, typer.Option("--documents", help="Held-out documents, at most.", rich_help_panel=TEXT)]
WindowsOption = Annotated[
    int, typer.Option("--windows", help="Of 256 tokens of calibration text.", rich_help_panel=TEXT)
]
SeedOption = Annotated[
    int,
    typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of splits, routers, order.", rich_help_panel=TEXT),
]
PlaceOption = Annotated[
    str, typer.Option("--device", help="Where it is done: auto, cpu, cuda or cuda:N.", rich_help_panel=TEXT)
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="What is to run it: transformers, vllm, llama.cpp, compressed-tensors.")
]
ToOption = Annotated[
    str | None, typer.Option("--to", help="mixtral, qwen2_moe, qwen3_moe, ...; the first that fits unless given.")
]
DenseOption = Annotated[bool, typer.Option("--dense", help="Write packed weights as dense ones.")]
