"""Switches in the environment that mean something else to a cell than to a user of the library."""

from collections.abc import Mapping

OF_CELLS: Mapping[str, str] = {"SPARSEBENCH_FORMS": "rules"}
"""By variable, what it is where nobody sets it. Between exact forms of a computation no clock decides
(`models.native.forms`): a cell gives the same bits in every run."""
