"""A dataset of the store, open for reading."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _native
from ._batch import Batch, whole_numbers
from .errors import Error, Usage

if TYPE_CHECKING:
    from ._loader import Loader

#: The columns that have a number for each row, and are kept in memory.
KEYS = ("id", "label")

#: The process that first opened a dataset on a server: the threads of the connection are there, and in no process that
#: was forked from it.
_connected: int | None = None


class Column(NamedTuple):
    """What a column has for each row."""

    dtype: str
    """`u8`, `i8`, `f16`, `bf16` or `f32` for tensors; `i64` for whole numbers; `text`."""
    shape: tuple[int, ...]
    """The shape of a row; empty for a number or a text."""
    dims: tuple[str, ...]
    """What the dimensions are called, or nothing."""


def dataset(
    path: str | os.PathLike[str],
    *,
    columns: Iterable[str] | None = None,
    dtype: str | None = None,
) -> Dataset:
    """Opens the newest whole generation of the dataset at `path`, a folder or a URL (`s3://`, `gs://`, `az://`).

    It is leased while it is open: no process of gimlet removes it. `columns` and `dtype` are those of its rows; see
    `Dataset`.

    Raises `Missing` where there is no dataset, `Damaged` where no generation is whole, `Usage` for a wrong column.
    """
    return Dataset(path, columns=columns, dtype=dtype)


class Dataset:
    """One generation of a dataset. Rows are numbered from 0.

    It is a map-style dataset of torch: `data[5]` is a row, `data[[5, 3]]` and `data[10:20]` are rows as a `Batch` of
    NumPy arrays. `columns` are those that rows have: all by default. `dtype` is `None` for values as they are stored
    (as float32 where NumPy has no such type: bfloat16, and 8-bit whole numbers times their scales), "f32" for float32,
    or "stored" for the bits of bfloat16, and for 8-bit numbers without their scales, which are a column of their own,
    `NAME_scale`.

    It can be pickled, and is opened again where it is used, in that process: always the same generation.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Iterable[str] | None = None,
        dtype: str | None = None,
    ) -> None:
        self._path = os.fspath(path)
        self._expected: tuple[int, str] | None = None
        self._is_closed = False
        self._handle: _native.Dataset | None = None
        self._keys: dict[str, Any] | None = None
        self._manifest: dict[str, Any] | None = None
        self._columns = None if columns is None else list(columns)
        self._dtype = dtype
        self._open()
        self.reading(self._columns, self._dtype)

    def _open(self) -> _native.Dataset:
        global _connected
        if self._is_closed:
            raise Usage(f"the dataset at `{self._path}` is closed", "open it again with `gimlet.dataset`")
        if self._handle is None or not self._handle.is_open:
            here = os.getpid()
            if _is_url(self._path):
                if _connected not in (None, here):
                    raise Error(
                        f"`{self._path}` cannot be read in a process that was forked after a server was connected to",
                        'start it afresh: `multiprocessing_context="spawn"` in torch\'s `DataLoader`',
                    )
                _connected = here
            self._handle = _native.Dataset.open(self._path, self._expected)
            self._expected = (self._handle.number, self.key)
        return self._handle

    @property
    def path(self) -> str:
        """The folder or URL that was opened."""
        return self._path

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the generation: its key, settings, schema, parts, statistics."""
        if self._manifest is None:
            self._manifest = json.loads((self._handle or self._open()).manifest())
        return self._manifest

    @property
    def key(self) -> str:
        """The key: 64 hexadecimal digits, for the settings that made the rows."""
        return self.manifest["key"]

    @property
    def generation(self) -> int:
        """The number of the generation."""
        if self._expected is None:
            self._open()
        assert self._expected is not None
        return self._expected[0]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.manifest["rows"]

    def __len__(self) -> int:
        return self.rows

    @property
    def schema(self) -> dict[str, Column]:
        """Every column that rows can have, by name."""
        schema = self.manifest["schema"]
        numbers = [*KEYS, *schema.get("attributes", ())]
        found = {name: Column("i64", (), ()) for name in numbers}
        if schema["source"]:
            found["source"] = Column("text", (), ())
        for column in schema["columns"]:
            name, shape, dims = column["name"], tuple(column["shape"]), tuple(column["dims"])
            found[name] = Column(column["dtype"], shape, dims)
        return found

    @property
    def label_names(self) -> list[str] | None:
        """The name of label 0, 1, and so on; `None` where labels have no names."""
        return self.manifest["schema"]["label_names"]

    @property
    def ids(self) -> np.ndarray:
        """The id of each row: the same for the rows of a sample in all datasets of a split."""
        return self._key("id")

    @property
    def labels(self) -> np.ndarray:
        """The label of each row; -1 where it has none."""
        return self._key("label")

    def _key(self, name: str) -> Any:
        if self._keys is None:
            keys = self._open().keys()
            self._keys = {
                name: values if isinstance(values, list) else np.asarray(values)
                for name, values in keys.items()
            }
        return self._keys[name]

    def reading(
        self, columns: Iterable[str] | None, dtype: str | None, *, has_bfloat16: bool = False
    ) -> Reading:
        """What is read for these columns; as bits of bfloat16 only where `has_bfloat16`."""
        if dtype not in (None, "f32", "stored"):
            raise Usage(f"`dtype={dtype!r}` is not known", 'use `None`, `"f32"` or `"stored"`')
        schema = self.schema
        if isinstance(columns, str):
            columns = [columns]
        names = list(schema) if columns is None else list(columns)
        if not names:
            raise Usage("there are no columns to read", "name at least one, or leave `columns` out")
        if dtype == "stored" and columns is None:
            names += [f"{name}_scale" for name, column in schema.items() if column.dtype == "i8"]
        tensors, others, bfloat16 = [], [], []
        #: Types that are of no use as they are stored.
        widened = {"i8"} if has_bfloat16 else {"i8", "bf16"}
        for name in names:
            column = schema.get(name)
            if column is None:
                column = schema.get(name.removesuffix("_scale"))
                if column is None or column.dtype != "i8" or not name.endswith("_scale"):
                    hint = f"its columns are {', '.join(f'`{name}`' for name in schema)}"
                    raise Usage(f"`{self._path}` has no column `{name}`", hint)
                tensors.append((name, False))
            elif column.dtype in ("i64", "text"):
                others.append(name)
            else:
                is_widened = dtype == "f32" or (dtype is None and column.dtype in widened)
                tensors.append((name, is_widened))
                if column.dtype == "bf16" and dtype is None and not is_widened:
                    bfloat16.append(name)
        return Reading(names, tensors, others, bfloat16)

    def batch(self, reading: Reading, rows: np.ndarray, tensors: Sequence[Any]) -> Batch:
        """Tensors that were read, together with the columns that are in memory."""
        arrays = zip(reading.tensors, map(np.asarray, tensors))
        found: dict[str, Any] = {name: values for (name, _), values in arrays}
        for name in reading.others:
            values = self._key(name)
            found[name] = [values[row] for row in rows] if isinstance(values, list) else values[rows]
        return Batch((name, found[name]) for name in reading.names)

    def _read(self, rows: np.ndarray) -> Batch:
        reading = self.reading(self._columns, self._dtype)
        tensors = self._open().read(reading.tensors, rows) if reading.tensors else []
        return self.batch(reading, rows, tensors)

    def __getitem__(self, rows: Any) -> Batch:
        if isinstance(rows, str):
            raise Usage(f"`data[{rows!r}]` names a column", f"rows come first: `data[[0, 1]][{rows!r}]`")
        if isinstance(rows, slice):
            return self._read(np.arange(*rows.indices(self.rows), dtype=np.int64))
        at = np.asarray(rows)
        if at.dtype == np.bool_ and at.shape == (self.rows,):
            return self._read(np.flatnonzero(at).astype(np.int64))
        if at.dtype == np.bool_ or at.ndim > 1:
            hint = f"give a row, a slice, or a list of rows; a mask has {self.rows} values"
            raise Usage(f"`{at.dtype}` of shape {at.shape} are not rows", hint)
        at = whole_numbers(rows, "rows")
        wrong = at[(at < -self.rows) | (at >= self.rows)]
        if wrong.size:
            # Python's own: it is what ends a loop over the rows.
            raise IndexError(f"row {wrong.flat[0]} of {self.rows} rows")
        at = np.where(at < 0, at + self.rows, at)
        if at.ndim == 0:
            return self._read(at.reshape(1)).rows()[0]
        return self._read(at)

    def __getitems__(self, rows: Sequence[int]) -> list[Batch]:
        """Many rows at once, as torch's `DataLoader` asks for those of a batch."""
        return self[list(rows)].rows()

    def loader(self, batch: int, **settings: Any) -> Loader:
        """Reads batches in the order of a training, ahead of the caller: see `Loader` for the settings."""
        from ._loader import Loader

        settings.setdefault("columns", self._columns)
        settings.setdefault("dtype", self._dtype)
        return Loader(self, batch, **settings)

    def to_arrow(self) -> Any:
        """All rows as a `pyarrow.Table`, with tensors of fixed shape. They are all in memory at once."""
        from ._tables import arrow_of

        return arrow_of(self)

    def to_pandas(self) -> Any:
        """All rows as a `pandas.DataFrame`; tensors are arrays of NumPy. They are all in memory at once."""
        from ._tables import pandas_of

        return pandas_of(self)

    def to_hf(self) -> Any:
        """All rows as a `datasets.Dataset` of Hugging Face. They are all in memory at once."""
        from ._tables import hugging_face_of

        return hugging_face_of(self)

    def close(self) -> None:
        """Lets go of the lease. Loaders that are at work end first by themselves."""
        self._is_closed = True
        if self._handle is not None:
            self._handle.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        path = self._path if _is_url(self._path) else os.path.abspath(self._path)
        return {
            "_path": path,
            "_expected": self._expected,
            "_is_closed": self._is_closed,
            "_columns": self._columns,
            "_dtype": self._dtype,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._handle = self._keys = self._manifest = None

    def __repr__(self) -> str:
        if self._is_closed:
            return f"<gimlet.Dataset {self._path!r}, closed>"
        columns = ", ".join(
            f"{name}: {column.dtype}{list(column.shape) if column.shape else ''}"
            for name, column in self.schema.items()
        )
        return f"<gimlet.Dataset {self._path!r}, generation {self.generation}: {self.rows} rows of {columns}>"


class Reading(NamedTuple):
    """The columns that are read, in the order that was asked for."""

    names: list[str]
    tensors: list[tuple[str, bool]]
    """Those that are read from the parts, and whether they are widened to float32."""
    others: list[str]
    """Those that are in memory."""
    bfloat16: list[str]
    """Those whose bits are read, and are bfloat16 to torch."""


def _is_url(path: str) -> bool:
    return "://" in path
