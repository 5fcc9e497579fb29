"""Every module in every suite: a measured row, a planned one, or an n/a with its reason; no cell says nothing.

What is measured lies in `reports/results`, what is planned in the built-in profiles; why something cannot be measured
is said by the registry. A cell without a record has to be named in `NOT_MEASURED`: it is the list of what is missing.
"""

import functools
from collections.abc import Iterator

import pytest

from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store, stores_in
from sparsebench.suites.contracts.applicability import reason_against
from sparsebench.suites.runner.discovery.loading import load_method, load_task
from sparsebench.suites.runner.discovery.registry import ROOT, entries, find, suites
from sparsebench.suites.runner.planning.chain import links_of
from sparsebench.suites.runner.planning.profile import built_in, load_profile

MODULES = {
    "MoE": (
        *("cmoe", "llama_moe_v1", "llama_moe_v2", "moe_attention", "moe_random", "moe_shared", "upcycle"),
        *("dot_moe", "expert_lora", "layer_allocation", "mixture_to_dense", "tomoe"),
    ),
    "compression": (
        *("attention_drop", "block_drop", "layer_drop", "neuron_pruning"),
        *("expert_drop", "expert_merging", "mean_experts", "merge_experts", "compression_search"),
        *("expert_subset", "atom_pruning"),
        *("magnitude_pruning", "sparsegpt", "wanda", "quantise"),
    ),
    "SparseAdapter": ("sparse_adapter", "adapter_fusion"),
    "PAD-Net": ("pad_net",),
    "iDAT": ("idat",),
    "data mixing": ("data_mixing", "group_mixing"),
}
OTHERS = (
    *(
        "adapter",
        "adapter_plus",
        "adaptformer",
        "bi_adaptformer",
        "bitfit",
        "convpass",
        "fact",
        "houlsby",
        "lora",
        "mam",
    ),
    *("layernorm_tuning", "parallel_adapter", "pfeiffer", "prefix_tuning", "rep_adapter", "shared_parallel", "ssf"),
    *("vpt_deep", "vpt_shallow", "gist", "label_smoothing", "linear_probe", "full_tuning", "dense", "tune"),
    *("random_forest", "constant", "few_shot", "graph_mixup", "graph_words", "sampling", "training_set"),
    *("continual_pretraining", "dpo", "instruction_tuning", "two_stage", "dynamic_conv", "dynamic_linear"),
    *("kernel_warehouse", "top_neurons", "fd_conv", "random_features", "clean_features"),
)
"""Methods of no module: baselines, tuning, and what one suite alone has."""

NOT_MEASURED: dict[tuple[str, str], str] = {}
"""Cells that no committed record fills yet, with what is planned for them."""

CELLS = [(module, suite) for module in MODULES for suite in ("llm", "vtab", "molecules")]


@functools.cache
def measured() -> frozenset[tuple[str, str]]:
    """(module, suite) of every committed record that has a score."""
    found: set[tuple[str, str]] = set()
    for folder in stores_in(ROOT.parent / "reports" / "results"):
        for record in Store(folder).read_all()[0]:
            found |= set(_cells_of(record))
    return frozenset(found)


def _cells_of(record: Record) -> Iterator[tuple[str, str]]:
    if record.status != "ok":
        return
    links = {record.cell.method, *(link.method for link in record.cell.then)}
    for module, methods in MODULES.items():
        if links & set(methods):
            yield module, record.cell.suite


@functools.cache
def planned() -> dict[tuple[str, str], str]:
    """(module, suite) of every row of a built-in profile, with the profile."""
    found: dict[tuple[str, str], str] = {}
    for name in built_in():
        for plan in load_profile(name).plans:
            links = {link.method for row in plan.methods for link in links_of(row)}
            for module, methods in MODULES.items():
                if links & set(methods):
                    found.setdefault((module, plan.suite), name)
    return found


def reasons(module: str, suite: str) -> set[str]:
    """Why no method of the module runs on any task and backbone of the suite; empty if one does, as far as is known."""
    found: set[str] = set()
    tasks = [type(load_task(entry)) for entry in entries("task", suite).values()]
    for name in MODULES[module]:
        if name not in entries("method", suite):
            continue
        method = load_method(find("method", name), {})
        for task in tasks:
            for backbone in entries("backbone", suite).values():
                reason = reason_against([method], task, backbone.backbone(backbone.name))
                if reason is None:
                    return set()
                found.add(reason)
    return found


def test_every_method_is_of_a_module_or_named_as_of_none():
    known = [*OTHERS, *(name for methods in MODULES.values() for name in methods)]
    assert len(known) == len(set(known))
    assert sorted(known) == sorted({name for suite in ("", *suites()) for name in entries("method", suite)})


@pytest.mark.parametrize(("module", "suite"), CELLS)
def test_no_cell_is_empty(module, suite):
    cell = module, suite
    if cell in measured() or cell in planned():
        return
    assert reasons(module, suite), f"{module} x {suite} has no measured row, no planned one, and no reason for it"


@pytest.mark.parametrize(("module", "suite"), CELLS)
def test_what_is_not_measured_is_named(module, suite):
    if (module, suite) not in measured() and not (reasons(module, suite) and (module, suite) not in planned()):
        assert (module, suite) in NOT_MEASURED, f"{module} x {suite} has no record: run its row, or name it as missing"
