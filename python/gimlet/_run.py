"""What a run has made and found, as tables."""

from __future__ import annotations

import json
import os
from typing import Any

from . import _native
from ._tables import imported


class Table(list):
    """Rows, each a `dict`; not every row has a value for every column."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in the order of their first row."""
        return list({name: None for row in self for name in row})

    def column(self, name: str) -> list[Any]:
        """The values of a column; `None` in rows that have none."""
        return [row.get(name) for row in self]

    def to_pandas(self) -> Any:
        """The same as a `pandas.DataFrame`."""
        return imported("pandas").DataFrame({name: self.column(name) for name in self.columns})

    def to_arrow(self) -> Any:
        """The same as a `pyarrow.Table`."""
        return imported("pyarrow").table({name: self.column(name) for name in self.columns})


class Run:
    """What the directory of a run held when it was read."""

    path: str
    pipeline: str | None
    """The name of its pipeline."""
    status: Table
    """A row for each dataset and each training: what it is, whether it is done, its rows, bytes and seconds."""
    probes: Table
    """A row for each module, trained and untrained: accuracy, loss, rank, and what it took."""
    curves: Table
    """A row for each step that was logged of each module: loss, accuracy, seconds."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        found = json.loads(_native.run(self.path))
        self.pipeline = found["pipeline"]
        self.status, self.probes, self.curves = (
            Table(found[name]) for name in ("status", "probes", "curves")
        )

    def __repr__(self) -> str:
        return f"<gimlet.Run {self.path!r}: {len(self.status)} datasets and trainings, {len(self.probes)} probes>"


def runs(path: str | os.PathLike[str]) -> Run:
    """Reads what the run in directory `path` has made and found.

    Raises `Missing` where there is no run.
    """
    return Run(path)
