"""Auto classes know our models whenever transformers is imported, and importing us does not import it."""

import subprocess
import sys

import pytest

CODE = """
import sys
{first}
{second}
assert "graphsgpt" in CONFIG_MAPPING and "sparsebench" in CONFIG_MAPPING
assert "sparsebench.models.graphsgpt.model.modeling" not in sys.modules
from transformers import AutoConfig
assert type(AutoConfig.for_model("graphsgpt", hidden_size=16)).__name__ == "GraphsGPTConfig"
"""
OURS = "import sparsebench.models.graphsgpt, sparsebench.models.moe"
THEIRS = "from transformers import CONFIG_MAPPING"


@pytest.mark.parametrize("order", [(f"{OURS}\nassert 'transformers' not in sys.modules", THEIRS), (THEIRS, OURS)])
def test_in_either_order(order: tuple[str, str]) -> None:
    code = CODE.format(first=order[0], second=order[1])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
