"""How many malformed inputs there are, each of them once, and that no verb is without."""

from collections import Counter
from collections.abc import Callable

from . import (
    test_fit,
    test_models,
    test_molecules,
    test_names,
    test_own_data,
    test_predict,
    test_profiles,
    test_recipes,
    test_results,
)
from .catalogue import doubled

LEAST = 200
TABLES = (
    *(test_fit, test_predict, test_molecules, test_models, test_recipes),
    *(test_profiles, test_own_data, test_results, test_names),
)
CASES = [case for table in TABLES for case in table.CASES]
VERBS = {
    *("convert", "compress", "export", "import", "fit", "predict", "run", "plan", "report", "compare", "verify"),
    *("export-results", "take-out", "freeze", "vouch", "reproduce", "check", "show", "list", "new", "prepare"),
    *("molecules encode", "molecules generate", "molecules score", "vtab run", "llm run", "molecules run"),
}


def test_every_verb_and_every_damage_once(record_property: Callable[[str, object], None]) -> None:
    """The summary of pytest has the table."""
    counts = Counter(case.verb for case in CASES)
    record_property("faults", {"kind": "malformed inputs", "cases": len(CASES), **dict(counts.most_common())})
    assert doubled(CASES) == []
    assert counts.keys() >= VERBS
    assert len(CASES) >= LEAST
