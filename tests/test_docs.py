"""The documents tell the truth: their commands run, their code runs, a method and a task are one file each."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from statistics import fmean

import pytest

from sparsebench.reports import read_results
from sparsebench.reports.page.result_section import suites_of
from sparsebench.reports.page.results_document import first_findings
from sparsebench.suites.runner.planning.profile import load_profile
from sparsebench.suites.runner.results.readings import open_readings
from sparsebench.suites.runner.results.summary import suite_infos

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "suites" / "README.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run(arguments: list[str], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        arguments, cwd=cwd, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def sparsebench(command: str, cwd: Path, **environment: str) -> str:
    program, *arguments = shlex.split(command, comments=True)
    assert program == "sparsebench"
    return run([sys.executable, "-m", "sparsebench.suites.runner", *arguments], cwd, **environment)


@pytest.fixture
def plugin(tmp_path: Path) -> Mapping[str, str]:
    """The guide's method and task, installed as a package outside the tree by the guide's own entry points."""
    site = tmp_path / "site"
    package, info = site / "mypackage", site / "mypackage-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    method, task = blocks(GUIDE, "python")[:2]
    (package / "__init__.py").write_text("")
    (package / "norm_tuning.py").write_text(method)
    (package / "stripes.py").write_text(task)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    points = blocks(GUIDE, "toml")[0].replace('[project.entry-points."', "[").replace('"]', "]").replace('"', "")
    points = points[: points.index("[sparsebench.backbones]")]
    (info / "entry_points.txt").write_text(points)
    return {"PYTHONPATH": str(site)}


def test_a_method_and_a_task_are_one_short_file_each() -> None:
    method, task = blocks(GUIDE, "python")[:2]
    assert len(method.splitlines()) <= 40
    assert len(task.splitlines()) <= 40


def test_the_guide_works_from_outside_the_tree(plugin: Mapping[str, str], tmp_path: Path) -> None:
    listed = sparsebench("sparsebench vtab list", tmp_path, **plugin)
    assert "norm_tuning" in listed
    assert "Stripes: which of eight directions do the stripes run in?" in listed
    command = "sparsebench vtab run --profile smoke --method linear_probe --method norm_tuning --task stripes --seeds 1"
    out = sparsebench(f"{command} --out out --workers 1", tmp_path, **plugin)
    assert "2 ok" in out
    sparsebench("sparsebench report out", tmp_path, **plugin)
    table = (tmp_path / "out" / "report" / "table-vtab.md").read_text()
    assert "norm_tuning" in table
    assert "stripes" in table
    assert "all conform" in sparsebench("sparsebench check norm_tuning", tmp_path, **plugin)


@pytest.mark.timeout(900)
def test_the_guides_suite_runs_beside_a_script(tmp_path: Path) -> None:
    """The files as the guide names them; run, listed, reported and checked by the script, with nothing installed."""
    section = GUIDE.partition("### A suite of your own")[2]
    suite, backbone, script = blocks(section, "python")
    (profile,) = blocks(section, "yaml")
    task = blocks(GUIDE, "python")[1]
    for name, text in {
        "bench.py": script,
        "gratings/__init__.py": "",
        "gratings/suite.py": suite,
        "gratings/tasks/stripes.py": task,
        "gratings/backbones/small.py": backbone,
        "gratings/profiles/quick.yaml": profile,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def bench(*arguments: str) -> str:
        return run([sys.executable, "bench.py", *arguments], tmp_path)

    assert "stripes  Stripes: which of eight directions" in bench("gratings", "list")
    assert "2 ok" in bench("gratings", "run", "--out", "out", "--workers", "1")
    assert "0 to run" in bench("gratings", "run", "--out", "out", "--workers", "1")
    said = bench("report", "out")
    assert "Gratings" in said and "bitfit" in said
    assert "all conform" in bench("check", "gratings")


def test_the_guide_takes_out_a_row_of_the_profile_that_it_names() -> None:
    (named,) = re.findall(r'--profile healed --method "([^"]+)" --set checkpoints=keep', GUIDE)
    labels = [row.label for row in load_profile("healed").plans[0].methods]
    assert named in labels


def commands(text: str) -> list[str]:
    return [line for block in blocks(text, "sh") for line in block.splitlines() if line.strip()]


def dry(*arguments: str) -> list[str]:
    """What make would run, whether or not the environment is up to date."""
    return run(["make", "--dry-run", "--always-make", *arguments], ROOT).splitlines()


def ours(lines: list[str]) -> list[str]:
    """The commands of the bench itself in what make would run, for the profile that takes no download."""
    found = [command for line in lines for command in re.findall(r"\.venv/bin/(sparsebench [^;&]*)", line)]
    return [command.strip().replace("quick", "smoke") for command in found]


@pytest.mark.parametrize("target", ["setup", "bench", "test", "test-long", "check", "speed", "speed-check", "lowest"])
def test_every_target_of_make_sets_the_environment_up(target: str) -> None:
    assert any(line.startswith(".venv/bin/python -m pip install") for line in dry(target))


@pytest.mark.timeout(900)
def test_the_documented_commands_run(tmp_path: Path) -> None:
    """In one folder, one after the other: `make bench` without its speed runs and with the profile `smoke`, then the
    README and the guides, which go on from there."""
    lines = ours(dry("bench", "SPEED=true"))
    assert [line.split()[1] for line in lines] == ["prepare", "run", "report"]
    for line in lines:
        sparsebench(line, tmp_path)
    assert (tmp_path / "results" / "smoke" / "report" / "index.html").exists()
    for line in commands(README):
        run_documented(line.partition("#")[0].strip(), tmp_path)
    for line in commands(GUIDE.partition("## The commands")[2]):
        sparsebench(line, tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "results").symlink_to(tmp_path / "results")
    for line in commands((ROOT / "reports" / "README.md").read_text(encoding="utf-8")):
        sparsebench(line.replace("/quick", "/smoke"), tmp_path)
    assert (tmp_path / "reports" / "RESULTS.md").exists()


def run_documented(line: str, folder: Path) -> None:
    """A command as a shell would run it; make only says what it would do."""
    program, _, arguments = line.partition(" ")
    if program == "make":
        assert dry(*shlex.split(arguments))
    elif program == "source":
        assert arguments == ".venv/bin/activate"
        activate = Path(sys.prefix) / "bin" / "activate"
        run(["bash", "-c", f"source {shlex.quote(str(activate))} && sparsebench --help"], folder)
    else:
        sparsebench(line, folder)


def test_the_readme_code_prints_what_it_says(tmp_path: Path) -> None:
    codes = blocks(README, "python")
    outputs = blocks(README, "text")
    assert codes
    for code, output in zip(codes, outputs, strict=True):
        assert len(code.splitlines()) <= 12
        assert run([sys.executable, "-W", "error::FutureWarning", "-c", code], tmp_path) == output


def test_the_code_of_the_mixtures_prints_what_it_says(tmp_path: Path) -> None:
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Mixtures of data sets")[2]
    (code,) = blocks(section, "python")
    (output,) = blocks(section, "text")
    assert run([sys.executable, "-c", code], tmp_path) == output


def test_the_readme_is_a_first_screen() -> None:
    assert len(README.split()) <= 800
    order = ("prints who wins", "one finding of each suite", "claims of papers", "<picture>", "make bench", "make test")
    places = [README.index(words) for words in order]
    assert places == sorted(places)
    assert places[3] < 1000


def test_the_findings_of_the_readme_are_those_of_the_records() -> None:
    """However its lines are broken; `sparsebench report reports/results --out reports` writes them into RESULTS.md."""
    folder = ROOT / "reports" / "results" / "quick"
    with open_readings([folder]) as reading:
        lines, caption = first_findings(suites_of(reading, suite_infos()))
    said = " ".join(README.split())
    assert len(lines) == 3
    for line in lines:
        assert line in said, line
    assert f'<img alt="{escape(caption)}"' in said, caption


def headline(folder: Path) -> str:
    """What the records of the profile `healed` say in a sentence, of its longest training: means over seeds."""
    scores: dict[str, dict[int, list[float]]] = {}
    for record in read_results(folder):
        value = record.metrics[str(record.main_metric)].value
        scores.setdefault(record.cell.label, {}).setdefault(record.cell.budget["tokens"], []).append(value)
    read = {label: (max(found), fmean(found[max(found)])) for label, found in scores.items()}
    untrained, (tokens, trained) = read["dense untrained"][1], read["dense trained"]
    parts = []
    for label, (seen, value) in sorted(read.items(), key=lambda item: item[1][1]):
        cut = re.fullmatch(r"MoE.* (\d+ %) healed", label)
        if cut is not None:
            assert seen == tokens
            before = read[label.replace("healed", "untrained")][1]
            parts.append(f"with {cut[1]} of its FFN neurons at {before:.2f} and {value:.2f}")
    start = f"SmolLM2 reads seven text domains at {untrained:.2f} bits per byte before training"
    return f"{start}, and at {trained:.2f} after {tokens:,} tokens; {', '.join(parts)}."


def test_what_the_readme_says_of_smollm2_is_what_its_records_say() -> None:
    """However its lines are broken."""
    said = headline(ROOT / "reports" / "results" / "healed")
    assert said in " ".join(README.split()), said


def test_the_readme_tells_the_state_of_eight_papers() -> None:
    rows = [line.strip("| ").split(" | ") for line in README.splitlines() if "arxiv.org" in line]
    assert len(rows) == 8
    assert {state for _, _, state in rows} <= {"in", "partly", "to come"}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "reports/README.md", "reports/RESULTS.md"])
def test_links_lead_to_files(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert links
    for link in links:
        assert link.startswith("https://") or ((ROOT / name).parent / link).exists(), link


def test_the_file_map_is_complete() -> None:
    named = set(re.findall(r"`([\w/.]+/)`", README))
    for folder in ("models/", "data/", "suites/", "reports/", "tests/"):
        assert folder in named
    for name in named:
        assert (ROOT / name).is_dir(), name


@pytest.mark.timeout(600)
def test_the_committed_results_are_what_the_committed_records_say(tmp_path: Path) -> None:
    folder = ROOT / "reports" / "results"
    sparsebench(f"sparsebench report {shlex.quote(str(folder))} --out {shlex.quote(str(tmp_path))}", tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"RESULTS.md"} | {path.name for path in (ROOT / "reports").glob("*.svg")}
    for name in names:
        made = (tmp_path / name).read_text(encoding="utf-8").replace(os.path.relpath(folder, tmp_path), "results")
        committed = (ROOT / "reports" / name).read_text(encoding="utf-8")
        again = "`sparsebench report reports/results --out reports` writes it"
        assert made == committed, f"{name} is not of these records: {again}"
