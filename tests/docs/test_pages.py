"""The pages of the site: every public name, method and tutorial has its place, and no link leads out of it."""

import json
import os
import re
import zlib
from pathlib import Path

import pytest

from sparsebench.suites.runner.discovery.registry import methods_of, suites

from . import api_pages, tree_pages, tutorial_pages
from .method_pages import claims_by_method, method_pages


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    found = tree_pages.tree_pages() | tutorial_pages.tutorial_pages() | method_pages() | api_pages.api_pages()
    assert found["index.md"].startswith("# sparsebench")
    return found


def test_every_public_name_is_shown_once() -> None:
    text = "\n".join(api_pages.api_pages().values())
    names = api_pages.public_names()
    assert len(names) > 200 and "sparsebench.models.moe.convert" in names
    shown = re.findall(r"^::: (\S+)$", text, flags=re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert names.keys() <= {*shown, *re.findall(r"\{ #(\S+) \}", text)}
    assert {place for name, place in names.items() if name in shown} == set(names.values())


def test_a_name_without_a_place_is_found(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    *wanted, anchored, lost = [*api_pages.public_names(), *api_pages.contract_names()]
    (tmp_path / "api" / "a.html").write_text(f'<h2 id="{anchored}">')
    lines = "".join(f"{name} py:function 1 api/a.html#$ -\n" for name in wanted)
    (tmp_path / "objects.inv").write_bytes(b"#\n#\n#\n#\n" + zlib.compress(lines.encode()))
    assert api_pages.missing(tmp_path) == [lost]


def test_every_method_has_its_options_and_its_verdicts(pages: dict[str, str]) -> None:
    text = "\n".join(text for place, text in pages.items() if place.startswith("methods/"))
    assert re.findall(r"^## (\S+)$", text, flags=re.MULTILINE)
    assert set(re.findall(r"^## (\S+)$", text, flags=re.MULTILINE)) == set(methods_of(suites()))
    judged = claims_by_method()
    assert {claim.study for found in judged.values() for claim in found} == set(tree_pages.studies())
    cmoe = pages["methods/moe.md"].partition("## cmoe\n")[2].partition("\n## ")[0]
    assert "| `num_shared` (int) | `3` |" in cmoe
    assert cmoe.count("(../results/claims-moe.md)") == sum(claim.study == "claims-moe" for claim in judged["cmoe"]) > 0


def test_links_lead_to_pages_and_anchors_of_the_site(pages: dict[str, str]) -> None:
    for place, text in pages.items():
        bare = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", bare)):
            path, _, anchor = target.partition("#")
            if "://" not in target and path:
                other = Path(place).parent.joinpath(path)
                found = pages.get(str(Path(*_normal(other.parts))))
                assert found is not None, (place, target)
                titles = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in _titles(found)}
                assert not anchor or anchor in titles, (place, target)


def test_pictures_are_those_beside_the_results(pages: dict[str, str]) -> None:
    drawn = {f"pictures/{path.name}" for path in (tree_pages.ROOT / "reports").glob("*.svg")}
    shown = {place: re.findall(r'src(?:set)?="([^"]+)"', text) for place, text in pages.items()}
    assert len(shown["index.md"]) > 1 and len(shown["results/index.md"]) > 1
    for place, targets in shown.items():
        assert {os.path.normpath(Path(place).parent / target) for target in targets} <= drawn, place


def _normal(parts: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for part in parts:
        found = found[:-1] if part == ".." else [*found, part]
    return found


def _titles(text: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)


def test_a_link_to_a_file_that_is_no_page_leaves_its_words() -> None:
    text = "See [the code](moe/layer.py), [suites](../suites/README.md#the-commands), [x](https://a.b).\n```\na[0](b)\n```\n"
    told = "See the code, [suites](suites.md#the-commands), [x](https://a.b).\n```\na[0](b)\n```\n"
    assert tree_pages.relinked(text, "models/README.md") == told


def test_a_script_becomes_prose_files_and_commands() -> None:
    script = "#!/usr/bin/env bash\n# Who and what.\nset -eu\n\ncat > a.py <<'PYTHON'\nprint(1)\nPYTHON\n"
    script += "python a.py\n\n# Then.\nls\n"
    page = tutorial_pages.script_page(script, tutorial_pages.Tutorial("T", {"more": "../guide/suites.md"}))
    assert page.split("\n\n") == [
        "# T",
        "Who and what.",
        "`a.py`:",
        "```python\nprint(1)\n```",
        "```sh\npython a.py\n```",
        "Then.",
        "```sh\nls\n```",
        "Go on with: [more](../guide/suites.md).\n",
    ]


def test_a_notebook_is_shown_with_what_it_printed() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# N"]},
        {"cell_type": "code", "source": "1 + 1", "outputs": [{"data": {"text/plain": ["2"]}}, {"text": " \n"}]},
    ]
    assert tutorial_pages.notebook_page({"cells": cells}) == "# N\n\n```python\n1 + 1\n```\n\n```text\n2\n```\n"
    for path in tutorial_pages.NEWCOMERS.glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                compile("".join(cell["source"]), path.name, "exec")
                assert not any(output["output_type"] == "error" for output in cell["outputs"])
