"""Orange tables with a column of images: their paths, and tables with columns added or rows left out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np
from Orange.data import ContinuousVariable, Domain, StringVariable, Table, Variable
from Orange.data.util import get_unique_names

_REMOTE = ("http:", "https:", "ftp:", "data:")
NO_PATH, REMOTE = "no path", "an address; only files on this machine are read"


@dataclasses.dataclass(frozen=True)
class Result:
    """What a widget sends: the images that were read, and the others; None for a table without rows."""

    images: Table | None = None
    skipped: Table | None = None


def image_columns(data: Table) -> list[Variable]:
    """Meta attributes that may name images, texts or categories; those with the attribute type=image first."""
    named = [each for each in data.domain.metas if each.is_string or each.is_discrete]
    return sorted(named, key=lambda each: each.attributes.get("type") != "image")


def image_names(data: Table, column: Variable) -> list[str]:
    """The texts of a column, "" where there is none."""
    values = data.get_column(column)
    if column.is_discrete:
        return ["" if np.isnan(value) else column.values[int(value)] for value in values]
    return [value if isinstance(value, str) else "" for value in values]


def image_paths(data: Table, column: Variable) -> tuple[dict[int, str], dict[int, str]]:
    """Paths by row, joined to the column's attribute origin; and by row why there is no path that can be read."""
    origin = str(column.attributes.get("origin", ""))
    paths, reasons = {}, {}
    for row, name in enumerate(image_names(data, column)):
        if not name:
            reasons[row] = NO_PATH
        elif name.lower().startswith(_REMOTE) or origin.lower().startswith(_REMOTE):
            reasons[row] = REMOTE
        else:
            paths[row] = os.path.join(origin, name)
    return paths, reasons


def with_columns(data: Table, rows: Sequence[int], names: Sequence[str], values: np.ndarray, hidden: bool) -> Table:
    """Rows of a table with numeric attributes added behind its own.

    Args:
        data: with any domain, sparse attributes too.
        rows: of the table.
        names: of the attributes; a name that the domain has already gets a number.
        values: `(len(rows), len(names))`.
        hidden: leave the attributes out where Orange lists each of them.
    """
    known = [each.name for each in (*data.domain.variables, *data.domain.metas)]
    added = [ContinuousVariable(name) for name in get_unique_names(known, list(names))]
    for variable in added if hidden else ():
        variable.attributes["hidden"] = True
    domain = Domain((*data.domain.attributes, *added), data.domain.class_vars, data.domain.metas)
    table = data[list(rows)]
    wider = (table.to_dense() if table.is_sparse() else table).transform(domain)
    with wider.unlocked(wider.X):
        wider.X[:, len(data.domain.attributes) :] = values
    wider.name = data.name
    return wider


def with_text(data: Table, name: str, texts: Sequence[str], attributes: Mapping[str, object] | None = None) -> Table:
    """A table with a meta attribute of texts behind its own."""
    known = [each.name for each in (*data.domain.variables, *data.domain.metas)]
    variable = StringVariable(get_unique_names(known, name))
    variable.attributes.update(attributes or {})
    return data.add_column(variable, list(texts), to_metas=True)


def skipped_rows(data: Table, reasons: Mapping[int, str]) -> Table | None:
    """The rows that were skipped, in order, with the reason of each as a meta attribute; None if there are none."""
    if not reasons:
        return None
    rows = sorted(reasons)
    table = with_text(data[rows], "reason", [reasons[row] for row in rows])
    table.name = "Skipped images"
    return table
