"""The datasets of gimlet in Python: opened, read in a training's order, and written.

    data = gimlet.dataset("runs/quickstart/datasets/a/train")
    for batch in data.loader(batch=64, seed=1):
        batch["activation"]

What is compiled (`gimlet._native`) is loaded with the first name that needs it, so that `gimlet.Stage` can be imported
where it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import Damaged, Error, Interrupted, Missing, Usage
from .stage.version import VERSION as __version__

if TYPE_CHECKING:
    from ._batch import Batch as Batch
    from ._dataset import Column as Column
    from ._dataset import Dataset as Dataset
    from ._dataset import dataset as dataset
    from ._loader import Loader as Loader
    from ._run import Run as Run
    from ._run import Table as Table
    from ._run import runs as runs
    from ._writer import Writer as Writer
    from ._writer import writer as writer
    from .stage import Stage as Stage

#: Where each name is that is loaded when it is asked for.
_HOMES = {
    "Batch": "_batch",
    "Column": "_dataset",
    "Dataset": "_dataset",
    "dataset": "_dataset",
    "Loader": "_loader",
    "Run": "_run",
    "Table": "_run",
    "runs": "_run",
    "Stage": "stage",
    "Writer": "_writer",
    "writer": "_writer",
}

__all__ = [
    "Batch",
    "Column",
    "Damaged",
    "Dataset",
    "Error",
    "Interrupted",
    "Loader",
    "Missing",
    "Run",
    "Stage",
    "Table",
    "Usage",
    "Writer",
    "__version__",
    "dataset",
    "runs",
    "writer",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
