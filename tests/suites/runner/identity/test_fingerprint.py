"""The code hash: each part of what a score passes through changes the rows that it touches, and no others."""

import dataclasses
import functools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparsebench.suites.runner.discovery import closure, registry
from sparsebench.suites.runner.discovery.closure import HOME, Tree
from sparsebench.suites.runner.discovery.modules import Module
from sparsebench.suites.runner.discovery.registry import Entry, find
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.identity import fingerprint
from sparsebench.suites.runner.identity.fingerprint import code_hash, costs_hash, roots, source_tree

ROWS = {
    "dense": ("llm", "dense", "arc_easy", "smollm2_135m_instruct"),
    "moe": ("llm", "moe_random", "bpb_domains", "smollm2_135m_instruct"),
    "hf": ("llm", "dense", "arc_easy", "hf"),
    "forest": ("molecules", "random_forest", "freesolv", "ecfp4"),
    "words": ("molecules", "linear_probe", "freesolv", "graph2seq"),
    "probe": ("vtab", "linear_probe", "digits", "vit_fractal_96"),
    "cnn": ("vtab", "lora", "digits", "efficientnet_lite0"),
}
LANGUAGE = {"dense", "moe", "hf"}
MIXTURES = {"moe", "hf"}
"""The second, since a folder of the user may hold a converted model."""
WATCHED = LANGUAGE
"""Each language task asks for the health of routers, with the code that looks on, whatever the row."""
VISION = {"probe", "cnn"}
MOLECULES = {"forest", "words"}
ALL = LANGUAGE | VISION | MOLECULES

TOUCHED = {
    "models/moe/experts/kernel.cpp": MIXTURES,
    "models/moe/experts/dispatch.py": MIXTURES,
    "models/moe/routing/router.py": MIXTURES,
    "models/moe/routing/balance.py": MIXTURES,
    "models/moe/routing/probe.py": WATCHED,
    "models/moe/__init__.py": WATCHED,
    "models/moe/splits/base.py": MIXTURES,
    "models/graphsgpt/__init__.py": {"words"},
    "models/graphsgpt/tokens/batch.py": {"words"},
    "models/graphsgpt/model/anatomy.py": {"words"},
    "models/describers/hf_decoder.py": LANGUAGE,
    "models/describers/hf_bert.py": {"hf"},
    "models/describers/timm_efficientnet.py": {"cnn"},
    "models/describers/timm_vit.py": {"probe"},
    "models/describers/__init__.py": ALL,
    "models/anatomy/views.py": ALL,
    "models/counting.py": WATCHED,
    "suites/contracts/costs.py": set(),
    "suites/contracts/training_costs.py": set(),
    "suites/training/machine/attribution.py": set(),
    "models/molecules/gin.py": set(),
    "suites/__init__.py": ALL,
    "suites/methods/__init__.py": ALL,
    "suites/methods/baselines/dense.py": {"dense", "hf"},
    "suites/methods/baselines/linear_probe.py": {"moe", "words", "probe"},
    "suites/molecules/__init__.py": MOLECULES,
    "suites/molecules/weights/graphsgpt_small/config.json": {"words"},
    "suites/molecules/weights/graphsgpt_small/model.safetensors": {"words"},
    "suites/vtab/body.py": VISION,
    "suites/vtab/profiles/quick.yaml": set(),
    "suites/runner/execution/scoring.py": ALL,
    "suites/runner/execution/assembly.py": ALL,
    "suites/runner/execution/isolation/settle.py": ALL,
    "suites/runner/discovery/loading.py": ALL,
    "suites/runner/discovery/validation.py": ALL,
    "suites/runner/__init__.py": ALL,
    "suites/runner/execution/execute.py": set(),
    "suites/runner/execution/executors/local/executor.py": set(),
    "suites/runner/discovery/registry.py": set(),
    "reports/records/record.py": set(),
    "data/molecules/tables.py": MOLECULES,
}
"""Files of ours, and the rows that a change of their code makes stale."""

ADDED = {
    "models/describers/hf_new.py": {"hf"},
    "models/describers/other_new.py": set(),
    "models/moe/new.py": set(),
    "suites/methods/new.py": set(),
    "suites/llm/tasks/new.py": set(),
    "suites/vtab/new.py": set(),
    "suites/molecules/methods/new.py": set(),
}
"""New files of ours, and the rows that they make stale."""


MEASURING = {
    "models/counting.py": ALL - WATCHED,
    "suites/contracts/costs.py": ALL,
    "suites/contracts/training_costs.py": ALL,
}
"""Files that only measure, and the rows whose costs they measure."""


@pytest.fixture(scope="module", autouse=True)
def parsed_once() -> Iterator[None]:
    """A file that did not change is parsed once for all of these tests."""

    @functools.cache
    def parsed(name: str, path: Path, content: bytes) -> Module:
        return Module(name, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closure, "Module", lambda name, path: parsed(name, path, path.read_bytes()))
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A copy of our source files."""
    place = tmp_path_factory.mktemp("home")
    for folder in ("models", "data", "suites", "reports"):
        shutil.copytree(HOME / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__", "results"))
    return place


@pytest.fixture(scope="module")
def before(home: Path) -> dict[str, str]:
    return hashes(Tree(home))


def entries_of(row: str) -> list[Entry]:
    suite, method, task, backbone = ROWS[row]
    return [find("method", method), find("task", task, suite), find("backbone", backbone, suite)]


def hashes(tree: Tree, device: str = "cpu") -> dict[str, str]:
    return {row: code_hash(entries_of(row), {"torch": "1"}, device, tree) for row in ROWS}


def stale(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {row for row in before if before[row] != after[row]}


@contextmanager
def appended(path: Path, content: bytes) -> Iterator[None]:
    """The file with something at its end, or a new file, for a while."""
    original = path.read_bytes() if path.exists() else None
    path.write_bytes((original or b"") + content)
    try:
        yield
    finally:
        if original is None:
            path.unlink()
        else:
            path.write_bytes(original)


@pytest.mark.parametrize("name", TOUCHED)
def test_a_change_makes_stale_what_it_touches_and_nothing_else(name: str, home: Path, before: dict[str, str]) -> None:
    assert (home / name).is_file()
    with appended(home / name, b"\nSOMETHING = 1\n"):
        assert stale(before, hashes(Tree(home))) == TOUCHED[name]


@pytest.mark.parametrize("name", MEASURING)
def test_what_only_measures_has_a_hash_of_its_own(name: str, home: Path) -> None:
    """Where a file scores, too, the hash of the score covers it alone."""

    def costs() -> dict[str, str]:
        return {row: costs_hash(entries_of(row), Tree(home)) for row in ROWS}

    before = costs()
    with appended(home / name, b"\nSOMETHING = 1\n"):
        assert stale(before, costs()) == MEASURING[name]


@pytest.mark.parametrize("name", ADDED)
def test_a_new_file_makes_stale_at_most_its_family(name: str, home: Path, before: dict[str, str]) -> None:
    with appended(home / name, b"SERVES = ()\n"):
        assert stale(before, hashes(Tree(home))) == ADDED[name]


def test_comments_and_docstrings_make_nothing_stale(home: Path, before: dict[str, str]) -> None:
    with appended(home / "suites/runner/execution/scoring.py", b"\n# nothing\n\n\n'''Nothing.'''\n"):
        assert stale(before, hashes(Tree(home))) == set()


def test_the_kernel_switch_belongs_to_the_rows_with_kernels(home: Path, before: dict[str, str], monkeypatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_NATIVE", "0")
    assert stale(before, hashes(Tree(home))) == MIXTURES
    monkeypatch.delenv("SPARSEBENCH_NATIVE")
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(home))
    assert stale(before, hashes(Tree(home))) == set()


def test_rules_choose_between_forms_unless_somebody_says_else(
    home: Path, before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (None, "rules"):
        monkeypatch.delenv("SPARSEBENCH_FORMS", raising=False)
        if value is not None:
            monkeypatch.setenv("SPARSEBENCH_FORMS", value)
        assert stale(before, hashes(Tree(home))) == set()
    monkeypatch.setenv("SPARSEBENCH_FORMS", "measured")
    assert stale(before, hashes(Tree(home))) >= MIXTURES


def test_device_and_library_versions_belong_to_every_row(home: Path, before: dict[str, str]) -> None:
    assert stale(before, hashes(Tree(home), "cuda")) == ALL
    assert code_hash(entries_of("dense"), {"torch": "2"}, "cpu", Tree(home)) != before["dense"]


def test_which_files_of_a_source_are_read_belongs_to_its_rows(home: Path, before: dict[str, str], monkeypatch) -> None:
    known = fingerprint.source

    def moved(name: str):
        return dataclasses.replace(known(name), paths={"weights": "elsewhere"}) if name == "smollm2" else known(name)

    monkeypatch.setattr(fingerprint, "source", moved)
    assert stale(before, hashes(Tree(home))) == {"dense", "moe"}


@pytest.mark.parametrize("row", ["dense", "moe", "forest", "probe", "cnn"])
def test_only_molecules_of_graphsgpt_pass_through_graphsgpt(row: str) -> None:
    tree = source_tree()
    names = [module.name for module in tree.closure(roots(entries_of(row), tree))]
    assert not [name for name in names if name.startswith("sparsebench.models.graphsgpt.")]


def mixture_modules(*entries: Entry) -> set[str]:
    """What a row passes through of the mixtures of experts; of `routing`, without the name of that folder."""
    tree = source_tree()
    names = [module.name for module in tree.closure(roots(entries, tree))]
    start = "sparsebench.models.moe.routing."
    found = {name.removeprefix(start) for name in names if name.startswith("sparsebench.models.moe.")}
    found.remove("sparsebench.models.moe.routing")
    return {name.removeprefix("sparsebench.models.moe.") for name in found}


LOOKING_ON = {"agreement", "choices", "counts", "health", "picks", "probe", "recomputation", "statistics"}
"""What sees whether there is a router, and what it does: neither routers nor experts nor what balances them."""


def test_a_dense_language_row_passes_through_no_conversion() -> None:
    assert mixture_modules(*entries_of("dense")) == LOOKING_ON


def test_nor_does_one_that_drops_neurons() -> None:
    _, *others = entries_of("dense")
    pruning = find("method", "neuron_pruning")
    assert mixture_modules(pruning, *others) == LOOKING_ON | {"splits", "splits.importance"}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch) -> Callable[[str, str], Entry]:
    """Writes a module of a package outside of our tree; the entry is that of a method in it."""
    folder = tmp_path / "plugin_of_mine"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> Entry:
        (folder / f"{name}.py").write_text(text)
        return Entry("method", name, f"plugin_of_mine.{name}", folder / f"{name}.py")

    return write


def test_helpers_of_a_plugin_belong_to_its_rows_alone(plugin, home: Path, before: dict[str, str]) -> None:
    plugin("helper", "STRENGTH = 1\n")
    mine = plugin("mine", "from .helper import STRENGTH\n")
    plugin("other", "")

    def code() -> str:
        return code_hash([mine, *entries_of("dense")[1:]], {"torch": "1"}, "cpu", Tree(home))

    first = code()
    plugin("helper", "STRENGTH = 2\n")
    second = code()
    plugin("other", "OTHER = 1\n")
    assert first != second == code()
    assert stale(before, hashes(Tree(home))) == set()


@pytest.mark.parametrize("record", ["top_level.txt", "RECORD"])
def test_helpers_beside_the_package_of_a_plugin_count_too(tmp_path: Path, monkeypatch, home: Path, record: str) -> None:
    """A distribution may have several packages; any of them may hold what its methods import."""
    content = {
        "mine_of_two/__init__.py": "",
        "mine_of_two/method.py": "from helpers_of_two.strength import STRENGTH\n",
        "helpers_of_two/__init__.py": "",
        "helpers_of_two/strength.py": "STRENGTH = 1\n",
    }
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: two\nVersion: 1\n",
        "entry_points.txt": "[sparsebench.methods]\nmethod_of_two = mine_of_two.method\n",
        "top_level.txt": "mine_of_two\nhelpers_of_two\n",
        "RECORD": "".join(f"{name},,\n" for name in content),
    }
    for name in {"top_level.txt", "RECORD"} - {record}:
        del about[name]
    for name, text in {**content, **{f"two-1.dist-info/{name}": text for name, text in about.items()}}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    registry.entries.cache_clear()
    entries = [find("method", "method_of_two"), *entries_of("dense")[1:]]
    registry.entries.cache_clear()
    before = code_hash(entries, {"torch": "1"}, "cpu", Tree(home))
    (tmp_path / "helpers_of_two" / "strength.py").write_text("STRENGTH = 2\n")
    assert code_hash(entries, {"torch": "1"}, "cpu", Tree(home)) != before


def test_every_link_of_a_chain_and_every_teacher_counts(plugin, home: Path) -> None:
    names = ("first", "second", "teacher")
    first, second, teacher = (plugin(name, "STRENGTH = 1\n") for name in names)
    method, task, backbone = entries_of("dense")
    entries = [method, first, second, task, backbone, dataclasses.replace(teacher, kind="backbone")]
    codes = [code_hash(entries, {"torch": "1"}, "cpu", Tree(home))]
    for name in names:
        plugin(name, "STRENGTH = 2\n")
        codes.append(code_hash(entries, {"torch": "1"}, "cpu", Tree(home)))
    assert len(set(codes)) == 4


def test_a_plugin_may_bring_a_backbone_that_names_a_family(plugin, home: Path) -> None:
    entry = plugin("net", 'DESCRIBERS = ("timm_vit",)\n')
    tree = Tree(home)
    names = [module.name for module in tree.closure(roots([dataclasses.replace(entry, kind="backbone")], tree))]
    assert "sparsebench.models.describers.timm_vit" in names
    assert "sparsebench.models.describers.timm_efficientnet" not in names


def test_an_unknown_family_is_a_mistake_of_the_user(plugin, home: Path) -> None:
    entry = plugin("net", 'DESCRIBERS = ("tim_vit",)\n')
    with pytest.raises(UsageError, match="did you mean timm_vit"):
        roots([entry], Tree(home))
