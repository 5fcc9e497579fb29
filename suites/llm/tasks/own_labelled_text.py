"""Your own texts with a label, from a table of yours: which class does a text have?"""

from typing import ClassVar

from sparsebench.data.own.columns import Kind

from ...prediction.own_table import OwnTableTask

CHECKS_DATA = True


class OwnLabelledText(OwnTableTask):
    """See `sparsebench.data.own.labelled` for the table and its parts; options are chosen on the validation part."""

    kind: ClassVar[Kind] = "text"
    version = "1"
    group = "text"
    sources = ("own-labelled-text",)
