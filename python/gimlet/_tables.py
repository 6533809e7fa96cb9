"""A whole dataset in the tables of other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Usage

if TYPE_CHECKING:
    from ._dataset import Dataset

#: The most dimensions of a tensor that `datasets` knows.
_MOST_DIMENSIONS = 5


def arrow_of(data: Dataset) -> Any:
    """All rows as a `pyarrow.Table`."""
    pyarrow = imported("pyarrow")
    found: dict[str, Any] = {}
    for name, values in data[:].items():
        if name == "label":
            found[name] = pyarrow.array(values, mask=values < 0)
        elif isinstance(values, np.ndarray) and values.ndim > 1:
            dims = _dims(data, name)
            kind = pyarrow.from_numpy_dtype(values.dtype)
            tensor = pyarrow.fixed_shape_tensor(kind, values.shape[1:], dim_names=dims or None)
            flat = pyarrow.array(values.reshape(-1))
            lists = pyarrow.FixedSizeListArray.from_arrays(flat, values[0].size)
            found[name] = pyarrow.ExtensionArray.from_storage(tensor, lists)
        else:
            found[name] = pyarrow.array(values)
    return pyarrow.table(found)


def pandas_of(data: Dataset) -> Any:
    """All rows as a `pandas.DataFrame`."""
    pandas = imported("pandas")
    found = {}
    for name, values in data[:].items():
        if name == "label":
            found[name] = pandas.array(values, dtype="Int64")
            found[name][values < 0] = pandas.NA
        else:
            found[name] = list(values) if getattr(values, "ndim", 1) > 1 else values
    return pandas.DataFrame(found)


def hugging_face_of(data: Dataset) -> Any:
    """All rows as a `datasets.Dataset`."""
    datasets = imported("datasets")
    features, found = {}, {}
    for name, values in data[:].items():
        found[name] = values
        if name == "label":
            names = data.label_names
            features[name] = datasets.ClassLabel(names=names) if names else datasets.Value("int64")
            found[name] = [None if label < 0 else int(label) for label in values]
        elif isinstance(values, list):
            features[name] = datasets.Value("string")
        elif values.ndim == 1:
            features[name] = datasets.Value(str(values.dtype))
        elif values.ndim == 2:
            features[name] = datasets.Sequence(datasets.Value(str(values.dtype)), length=values.shape[1])
        elif values.ndim - 1 <= _MOST_DIMENSIONS:
            of = getattr(datasets, f"Array{values.ndim - 1}D")
            features[name] = of(shape=values.shape[1:], dtype=str(values.dtype))
        else:
            what = f"`{name}` has {values.ndim - 1} dimensions, and `datasets` knows {_MOST_DIMENSIONS}"
            raise Usage(what, "open the dataset with other `columns`")
    return datasets.Dataset.from_dict(found, features=datasets.Features(features))


def _dims(data: Dataset, name: str) -> tuple[str, ...]:
    column = data.schema.get(name)
    return column.dims if column else ()


def imported(name: str) -> Any:
    """A library that is not needed for anything else; `Usage` where it is not installed."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise Usage(f"`{name}` is not installed", f"`pip install {name}`") from error
