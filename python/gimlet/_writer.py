"""Writes a dataset of the store."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _native
from ._batch import given, whole_numbers
from .errors import Error, Usage

#: Columns that every dataset has.
_KEYS = {"id", "label", "source"}

#: The process that first wrote: the threads that check and compress are there, and in no process forked from it.
_wrote: int | None = None


def writer(
    path: str | os.PathLike[str],
    *,
    settings: Mapping[str, Any],
    columns: Mapping[str, Sequence[Any]],
    split: str | None = None,
    attributes: Iterable[str] = (),
    label_names: Iterable[str] | None = None,
    rows: int | None = None,
    rows_per_part: int = 2048,
    compression: str = "none",
) -> Writer:
    """Begins a dataset in the folder or under the URL `path`, or in its part `split` ("train", "test").

    `settings` say what makes the rows; they, and the columns, are the key of the generation. Whatever changes a row
    belongs into them: the model, its weights, the layer, how samples were prepared. `columns` gives each tensor column
    its type (`u8`, `i8`, `f16`, `bf16`, `f32`), the shape of a row, and, if you like, names for the dimensions.

    What was written under the same settings before, and killed, goes on after the last whole part: `Writer.done_ids`
    are the samples that need not be made again. Where they are given again, or where the generation is committed
    already, rows are compared with what is there.

    `attributes` are columns of a whole number for each row. `rows` is their number, where it is known: a commit of
    fewer is refused. `compression` is `none`, `lz4`, `zstd`, or `auto`, which tries them on the first rows.

    Raises `Usage` for wrong arguments.
    """
    return Writer(
        path,
        settings=settings,
        columns=columns,
        split=split,
        attributes=attributes,
        label_names=label_names,
        rows=rows,
        rows_per_part=rows_per_part,
        compression=compression,
    )


class Writer:
    """Writes one generation of a dataset. As a context manager it commits at the end, unless there was an error; what
    was written before stays for the next writer with the same settings. No reader sees a row before the commit.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        settings: Mapping[str, Any],
        columns: Mapping[str, Sequence[Any]],
        split: str | None = None,
        attributes: Iterable[str] = (),
        label_names: Iterable[str] | None = None,
        rows: int | None = None,
        rows_per_part: int = 2048,
        compression: str = "none",
    ) -> None:
        global _wrote
        if _wrote not in (None, os.getpid()):
            raise Error(
                "a process that was forked from one that has written cannot write",
                'start it afresh: `multiprocessing.get_context("spawn")`',
            )
        path = os.fspath(path)
        if split is not None:
            if not split or "/" in split or split.startswith("."):
                raise Usage(f"`{split}` is no name of a split", 'name it "train" or "test", for example')
            path = f"{path.rstrip('/')}/{split}"
        self._path = path
        self._tensors = [_column(name, column) for name, column in columns.items()]
        self._attributes = [str(name) for name in attributes]
        names = None if label_names is None else [str(name) for name in label_names]
        if rows_per_part < 1:
            raise Usage(f"`rows_per_part={rows_per_part}` is no whole number of 1 or more", "give one")
        self._check_names()
        described = {
            "settings": settings,
            "columns": self._tensors,
            "attributes": self._attributes,
            "label_names": names,
            "rows_per_part": rows_per_part,
            "compression": compression,
        }
        key = _native.key_of(_json(described))
        _wrote = os.getpid()
        self._handle = _native.Writer(
            path,
            key,
            _json(settings),
            self._tensors,
            self._attributes,
            names,
            rows,
            rows_per_part,
            compression,
        )
        self._key = key
        self._done_ids: np.ndarray | None = None
        self._generation: int | None = None

    def _check_names(self) -> None:
        if not self._tensors:
            raise Usage("there are no columns", 'give at least one: `columns={"activation": ("f16", (8,))}`')
        names = [name for name, *_ in self._tensors] + self._attributes
        for name in names:
            if names.count(name) > 1 or name in _KEYS:
                raise Usage(f"the column `{name}` is there twice", "give each column a name of its own")

    @property
    def path(self) -> str:
        """The folder or URL of the dataset."""
        return self._path

    @property
    def key(self) -> str:
        """The key of the generation: 64 hexadecimal digits."""
        return self._key

    @property
    def done_ids(self) -> np.ndarray:
        """The ids of the rows that were there when this writer began, in their order."""
        if self._done_ids is None:
            self._done_ids = np.asarray(self._handle.done_ids())
        return self._done_ids

    @property
    def rows(self) -> int:
        """Rows that are there: those that were, and those that were written."""
        return self._handle.rows

    @property
    def bytes_written(self) -> int:
        """Bytes in whole parts and row groups."""
        return self._handle.bytes_written

    @property
    def generation(self) -> int | None:
        """The number of the generation, once it is committed."""
        return self._generation

    def write(self, ids: Any, /, label: Any = None, **columns: Any) -> None:
        """Writes rows: an id for each, which no other row has; `label`, 0 or more for each, or -1 where it has none;
        and every column by its name, as arrays of NumPy or tensors of torch whose first dimension counts the rows.

        Values of `f16`, `bf16` and `i8` columns are given as float32, float16 or bfloat16, and rounded as gimlet
        rounds.

        Raises `Usage` for columns that are missing, unknown or of another shape or type, and for an id that was given
        before; `Damaged` for a row that was there and is not the same; `Error` for a value that is not finite, and
        where the disk is full.
        """
        wanted = [name for name, *_ in self._tensors] + self._attributes
        missing = [name for name in wanted if name not in columns]
        unknown = [name for name in columns if name not in wanted]
        if missing or unknown:
            said = [f"`{name}` is missing" for name in missing]
            said += [f"`{name}` is no column of this writer" for name in unknown]
            names = ", ".join(f"`{name}`" for name in wanted)
            raise Usage(f"`{self._path}`: {', '.join(said)}", f"give all of {names}, and no other")
        self._handle.write(
            whole_numbers(ids, "ids"),
            None if label is None else whole_numbers(label, "labels"),
            [whole_numbers(columns[name], f"values of `{name}`") for name in self._attributes],
            [given(columns[name]) for name, *_ in self._tensors],
        )

    def commit(self, summary: Mapping[str, Any] | None = None) -> int:
        """Makes the generation visible, and returns its number. `summary` is kept in the manifest.

        Raises `Usage` where the writer is closed, and `Error` where there are no rows, or not as many as announced.
        """
        self._generation = self._handle.commit(_json({} if summary is None else summary))
        return self._generation

    def leave(self) -> None:
        """Lets go without a commit. Whole parts stay for the next writer with the same settings."""
        self._handle.leave()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._generation is None:
            self.commit()
        else:
            self.leave()


def _column(name: str, given: Sequence[Any]) -> tuple[str, str, list[int], list[str]]:
    if isinstance(given, str) or not 2 <= len(given) <= 3:
        raise Usage(f"column `{name}`: {given!r} is no type and shape", 'give `("f16", (197, 768))`')
    dtype, shape, dims = given[0], given[1], given[2] if len(given) == 3 else ()
    sides = [shape] if isinstance(shape, (int, np.integer)) else list(shape)
    if not all(isinstance(side, (int, np.integer)) and side > 0 for side in sides):
        raise Usage(f"column `{name}`: {shape!r} is no shape", "give whole numbers of 1 or more")
    if dims and len(dims) != len(sides):
        raise Usage(f"column `{name}`: {len(dims)} names for {len(sides)} dimensions", "give as many")
    return name, str(dtype), [int(side) for side in sides], [str(dim) for dim in dims]


def _json(value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        hint = "give texts, numbers, lists and dicts"
        raise Usage(f"the settings cannot be written as JSON: {error}", hint) from error
