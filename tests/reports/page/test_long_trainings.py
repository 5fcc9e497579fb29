"""Which curves of a result folder are drawn: the longest training of each row, where there are two rows at least."""

from sparsebench.reports.page.long_trainings import FEWEST, long_trainings
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.results_document import DOCUMENT, results_document

from .runs import INFOS

LONG = [(float(place), 1 / place) for place in range(1, FEWEST + 3)]
NAME = "2. val accuracy by tokens"


def trained(make, label, seed, curve):
    return make.record(label, "language", seed, make.metric(0.5), curves={NAME: curve, "train loss": LONG})


def test_the_longest_of_each_row_are_drawn_beside_the_table(make):
    records = [
        trained(make, "base", 0, LONG[:FEWEST]),
        trained(make, "base", 1, LONG),
        trained(make, "LoRA", 0, LONG),
        trained(make, "short", 0, LONG[: FEWEST - 1]),
    ]
    reading = Reading(records=records)
    plot = long_trainings(reading)
    assert plot is not None and plot.curves == {"base": LONG, "LoRA": LONG}
    assert plot.title == "Language" and plot.up == "accuracy (%) ↑, validation part"
    files = results_document({"results/healed": reading}, INFOS)
    assert ">LoRA</text>" in files["curves-healed-dark.svg"]
    assert files[DOCUMENT].count('src="curves-healed-light.svg"') == 1
    assert long_trainings(Reading(records=records[1:2] + records[3:])) is None, "one row alone"


def test_studies_and_what_is_objected_to_have_no_curves(make):
    reading = Reading(records=[trained(make, label, 0, LONG) for label in ("base", "LoRA")], objection="Objected to.")
    assert not [name for name in results_document({"results/old": reading}, INFOS) if name.startswith("curves")]
