from collections.abc import Callable
from pathlib import Path

import pytest

from .costs import ROOT
from .reach import Reach

FILES = {
    "models/__init__.py": "",
    "models/router.py": "from .scores import top\n",
    "models/scores.py": "top = 1\n",
    "models/kernels/build.py": "SOURCE = 'fast.cpp'\n",
    "models/kernels/fast.cpp": "",
    "models/describers/__init__.py": "",
    "models/describers/llama.py": "",
    "models/registry.py": "def all_of(name): importlib.import_module(f'sparsebench.models.describers.{name}')\n",
    "reports/page.py": "",
    "suites/methods/moe/cmoe.py": "from sparsebench.models import router\n",
    "suites/runner/__init__.py": "",
    "suites/runner/__main__.py": "",
    "suites/runner/discovery/registry.py": "",
    "suites/runner/profiles/quick.yaml": "",
    "tests/conftest.py": "from .tools import helper\n",
    "tests/tools.py": "helper = 1\n",
    "tests/models/test_router.py": "from sparsebench.models.router import top\n",
    "tests/models/test_kernels.py": "from sparsebench.models.kernels import build\n",
    "tests/models/test_registry.py": "from sparsebench.models.registry import all_of\n",
    "tests/reports/conftest.py": "import sparsebench.reports.page\n",
    "tests/reports/test_page.py": "",
    "tests/suites/test_program.py": "COMMAND = ['python', '-m', 'sparsebench.suites.runner']\nPROFILE = 'quick'\n",
    "tests/suites/test_card.py": "ROW = {'method': 'cmoe'}\n",
    "tests/suites/test_all_cards.py": "from sparsebench.suites.runner.discovery.registry import find\n",
    "tests/suites/test_text.py": "PROGRAM = 'from sparsebench.models.scores import top; print(top)'\n",
}


@pytest.fixture(scope="module")
def touched(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], set[str]]:
    """`touched(file)`: stems of the tests of a small tree that reach it."""
    root = tmp_path_factory.mktemp("tree")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    reach = Reach(root)
    return lambda file: {Path(name).stem.removeprefix("test_") for name in reach.touched([file])}


ALL = {Path(name).stem.removeprefix("test_") for name in FILES if Path(name).name.startswith("test_")}


@pytest.mark.parametrize(
    ("file", "tests"),
    [
        ("tests/models/test_router.py", {"router"}),
        ("models/router.py", {"router", "card", "all_cards"}),
        ("models/scores.py", {"router", "card", "all_cards", "text"}),
        ("models/__init__.py", {"router", "card", "all_cards", "text", "kernels", "registry"}),
        ("models/kernels/fast.cpp", {"kernels"}),
        ("models/describers/llama.py", {"registry"}),
        ("reports/page.py", {"page"}),
        ("suites/methods/moe/cmoe.py", {"card", "all_cards"}),
        ("suites/runner/__main__.py", {"program"}),
        ("suites/runner/profiles/quick.yaml", {"program"}),
        ("tests/tools.py", ALL),
        ("tests/reports/conftest.py", {"page"}),
        ("models/nobody.py", set()),
    ],
)
def test_a_change_reaches(touched: Callable[[str], set[str]], file: str, tests: set[str]) -> None:
    assert touched(file) == tests


def test_in_the_tree_itself() -> None:
    """A change of the router reaches its tests and far ones, and not those of the molecules' metrics."""
    reached = Reach(ROOT).touched(["models/moe/routing/router.py"])
    assert "tests/models/moe/routing/test_router.py" in reached
    assert "tests/models/compression/trimming/experts/test_drop.py" in reached
    assert "tests/suites/molecules/metrics/test_scaffolds.py" not in reached
