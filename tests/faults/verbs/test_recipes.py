"""`convert` and `compress`: recipes and options that say nothing that can be done."""

from collections.abc import Callable

import pytest

from .catalogue import Case

SMALL = "--calibration {text} --documents 3 --windows 2"


def recipe(damage: str, content: str, says: str) -> Case:
    return Case(damage, "compress {dense} out --recipe r.yaml", says, {"r.yaml": content})


FILES = [
    Case("no recipe", "compress {dense} out --recipe none.yaml", "there is no recipe none.yaml"),
    Case("a recipe misspelt", "compress {dense} out --recipe r.yml", "did you mean r.yaml", {"r.yaml": ""}),
    recipe("an empty recipe", "", "r.yaml has no steps"),
    recipe("a list of words", "- quantise", "r.yaml has no steps"),
    recipe("a key misspelt", "step: []", "unknown key 'step'; did you mean steps"),
    recipe("steps that are none", "steps: {quantise: {bits: 4}}", "steps is to be a list"),
    recipe("no steps", "steps: []", "steps is to be a list"),
    recipe("no YAML", "steps: [", "r.yaml is no YAML"),
    recipe("bytes for YAML", "steps: \x00", "r.yaml is no YAML"),
    recipe(
        "a step misspelt", "steps: [{quantize: {bits: 4}}]", "step 1: unknown step 'quantize'; did you mean quantise"
    ),
    recipe("a setting misspelt", "steps: [{quantise: {bit: 4}}]", "unknown key 'bit'; did you mean bits"),
    recipe("a number for settings", "steps: [{quantise: 4}]", "write its settings as quantise"),
    recipe("bits in words", "steps: [{quantise: {bits: four}}]", "bits='four'"),
    recipe("a truth for bits", "steps: [{quantise: {bits: true}}]", "bits=True"),
    recipe("bits below zero", "steps: [{quantise: {bits: -4}}]", "bits=-4 must be a whole number in 2..8"),
    recipe("two steps in one", "steps: [{quantise: {}, heal: {}}]", "write one step as"),
    recipe("a step without what it needs", "steps: [heal]", "heal: tokens is missing"),
    recipe("tokens in words", "steps: [{heal: {tokens: many}}]", "'many' is no number"),
    recipe("more than all experts", "steps: [{experts: {keep: 1.5}}]", "keep=1.5, the fraction"),
    recipe("a score misspelt", "steps: [{experts: {score: reep}}]", "score='reep'"),
    recipe("a preset misspelt", "steps: [{convert: {preset: cmoe_3p1of}}]", "did you mean 'cmoe_3p1of8'"),
    recipe("a mixture of no size", "steps: [{convert: {top_k: 2}}]", "name a preset, or num_experts"),
    recipe("experts in words", "steps: [{convert: {num_experts: eight}}]", "convert: num_experts='eight'"),
    recipe("a number for a list", "steps: [{convert: {num_experts: 4, targets: 7}}]", "convert: targets=7"),
    recipe("faithful to no paper", "steps: [{convert: {num_experts: 4, faithful: true}}]", "faithful is for presets"),
    recipe("a search without a budget", "steps: [{search: {}}]", "name one of the two budgets"),
    recipe("no regular expression", "steps: [{prune: {ignore: ['(']}}]", "is no regular expression"),
    recipe("no layer to drop", "steps: [{drop: {what: layers, number: 0}}]", "number=0"),
    Case(
        "a recipe and options",
        "compress {dense} out --recipe r.yaml --bits 4",
        "leave bits out",
        {"r.yaml": "steps: [quantise]"},
    ),
    Case(
        "a recipe that makes no mixture",
        "convert {dense} out --recipe r.yaml",
        "makes no mixture",
        {"r.yaml": "steps: [quantise]"},
    ),
]
OPTIONS = [
    Case("nothing to do", "compress {dense} out", "nothing to do"),
    Case("no size of a mixture", "convert {dense} out --top-k 2", "top_k goes with"),
    Case("a preset that there is not", "convert {dense} out --preset cmoe_3p1of", "did you mean 'cmoe_3p1of8'?"),
    Case("a score for nothing", "compress {dense} out --score reap", "score goes with keep_experts or budget"),
    Case("nine bits", "compress {dense} out --bits 9", "bits=9 must be a whole number in 2..8"),
    Case("a part that there is not", "compress {dense} out --bits 4 --part heads", "heads"),
    Case("another rounding", "compress {dense} out --bits 4 --method gtpq", "method='gtpq'"),
    Case("groups in words", "compress {dense} out --bits 4 --group-size many", "group_size"),
    Case("another pattern", "compress {dense} out --sparsity 0.5 --pattern 3:4", "pattern"),
    Case("another pruning", "compress {dense} out --sparsity 0.5 --pruning wnda", "wanda"),
    Case("more zeros than weights", "compress {dense} out --sparsity 1.5", "sparsity"),
    Case("healing without tokens", "compress {dense} out --heal 200k", "is to be key=value, such as tokens=200k"),
    Case("healing on nothing", "compress {dense} out --heal tokens=0", "tokens=0 to heal on must be 1 or more"),
    Case("a rate above one", "compress {dense} out --heal tokens=9,learning_rate=2", "learning_rate=2"),
    Case("a budget misspelt", "compress {dense} out --budget byte=0.5", "unknown key 'byte'; did you mean bytes"),
    Case("a budget above all", "compress {dense} out --budget bytes=1.5", "must lie in"),
    Case("a regular expression cut off", "compress {dense} out --bits 4 --target (", "is no regular expression"),
]
MODELS = [
    Case("experts of a dense model", f"compress {{dense}} out --keep-experts 0.5 {SMALL}", "has no mixture of experts"),
    Case("names that nothing has", f"compress {{dense}} out --bits 4 --target nosuch {SMALL}", "nosuch"),
    Case("all of it ignored", f"compress {{dense}} out --bits 4 --ignore . {SMALL}", "quantise"),
    Case(
        "more layers than there are",
        f"compress {{dense}} out --drop-layers 9 {SMALL}",
        "number=9: 2 layers of this model",
    ),
    Case(
        "all blocks",
        f"compress {{dense}} out --drop-blocks 2 {SMALL}",
        "drop: remove() has to leave at least one block",
    ),
    Case(
        "groups that divide nothing",
        f"compress {{dense}} out --bits 4 --group-size 48 {SMALL}",
        "group_size=48 divides none",
    ),
    Case(
        "healing after rounding",
        "compress {dense} out --recipe r.yaml",
        "heal before the weights are rounded",
        {"r.yaml": "steps: [{quantise: {method: rtn}}, {heal: {tokens: 100}}]"},
    ),
    Case("healing after a search that rounds", "compress {mixture} out --budget bytes=0.5 --heal tokens=9", "change="),
    Case("more experts than neurons", f"convert {{dense}} out --experts 500 {SMALL}", "500"),
    Case("more experts of a token than there are", f"convert {{dense}} out --experts 4 --top-k 5 {SMALL}", "top_k"),
    Case("all experts always on", f"convert {{dense}} out --experts 4 --shared 4 {SMALL}", "shared"),
    Case("a split that there is not", f"convert {{dense}} out --experts 4 --split nosuch {SMALL}", "nosuch"),
    Case("a mixture of a mixture", f"convert {{mixture}} out --experts 4 {SMALL}", "convert"),
    Case("a budget that nothing meets", f"compress {{mixture}} out --budget bytes=0.01 {SMALL}", "bytes"),
]
CASES = [*FILES, *OPTIONS, *MODELS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_recipes_that_cannot_be_done(case: Case, refused: Callable[[Case], None]) -> None:
    refused(case)
