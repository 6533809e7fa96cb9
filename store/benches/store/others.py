"""Writes and reads the values of a benchmark with one Python package, and says how fast.

    others.py versions
    others.py FORMAT write|scan-warm|scan-cold|random-warm|random-cold SHAPE COLUMN VALUES ORDER FOLDER SECONDS

VALUES: all rows as halves. ORDER: a random order of the rows, 64 bits each. FOLDER: the files of FORMAT.
SECONDS: reading ends with the batch in which they are over; what is warm is read again until then, what is
cold is read once at most. Prints {"rows", "seconds"} or {"skipped"} as a line of JSON. What is read comes as
arrays of halves [rows, *shape] (as f32 where the package knows no halves), and is compared with what was
written.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

BATCH = 64  # rows of a minibatch, of a row group, and of a step of a scan


class Numpy:
    """One .npy file, mapped; rows are picked by an array of indices."""

    def write(self, values):
        np.save(self.folder / "x.npy", values)

    def open(self):
        self.array = np.load(self.folder / "x.npy", mmap_mode="r")

    def batch(self, rows):
        return self.array[rows]

    def scan(self):
        for start in range(0, len(self.array), BATCH):
            yield np.array(self.array[start : start + BATCH])


class Ipc:
    """One Arrow IPC file, mapped, a record batch every 64 rows; rows are copied from views into it."""

    def write(self, values):
        import pyarrow as pa

        with pa.ipc.new_file(str(self.folder / "x.arrow"), self.table_schema()) as out:
            for batch in self.record_batches(values):
                out.write_batch(batch)

    def open(self):
        import pyarrow as pa

        self.file = pa.ipc.open_file(pa.memory_map(str(self.folder / "x.arrow")))
        batches = (self.file.get_batch(nth) for nth in range(self.file.num_record_batches))
        self.views = [self.flat(batch.column(0)) for batch in batches]

    def batch(self, rows):
        out = np.empty((len(rows), *self.shape), np.float16)
        for to, row in zip(out, rows):
            to[:] = self.views[row // BATCH][row % BATCH]
        return out

    def scan(self):
        for view in self.views:
            yield view.copy()


class Safetensors:
    """Files of 256 MB at most, one tensor each; rows by slices."""

    def write(self, values):
        from safetensors.numpy import save_file

        per_file = self.rows_per_file(values)
        for nth, start in enumerate(range(0, len(values), per_file)):
            save_file({"x": values[start : start + per_file]}, self.folder / f"{nth:05}.safetensors")

    def rows_per_file(self, values):
        return max(BATCH, 256_000_000 // values[0].nbytes // BATCH * BATCH)

    def open(self):
        from safetensors import safe_open

        self.files = [safe_open(path, "np") for path in sorted(self.folder.glob("*.safetensors"))]
        self.slices = [file.get_slice("x") for file in self.files]
        self.per_file = self.slices[0].get_shape()[0]

    def batch(self, rows):
        out = np.empty((len(rows), *self.shape), np.float16)
        for to, row in zip(out, map(int, rows)):
            at = row % self.per_file
            to[:] = self.slices[row // self.per_file][at : at + 1][0]
        return out

    def scan(self):
        for piece in self.slices:
            for start in range(0, piece.get_shape()[0], BATCH):
                yield piece[start : start + BATCH]


class Parquet:
    """One file, fixed-size lists, not compressed, row groups of 64 rows; a row is picked from its row group."""

    def write(self, values):
        import pyarrow.parquet as pq

        kind = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        with pq.ParquetWriter(self.folder / "x.parquet", self.table_schema(), **kind) as out:
            for batch in self.record_batches(values):
                out.write_batch(batch)

    def paths(self):
        return [self.folder / "x.parquet"]

    def open(self):
        import pyarrow.parquet as pq

        self.files = [pq.ParquetFile(path) for path in self.paths()]
        self.groups = []
        for file in self.files:
            self.groups += [(file, nth) for nth in range(file.num_row_groups)]
        rows = [file.metadata.row_group(nth).num_rows for file, nth in self.groups]
        self.starts = np.cumsum([0, *rows])

    def group(self, nth):
        file, nth = self.groups[nth]
        column = file.read_row_group(nth, columns=[self.column]).column(0).combine_chunks()
        return self.flat(getattr(column, "storage", column))

    def batch(self, rows):
        out = np.empty((len(rows), *self.shape), np.float16)
        groups = np.searchsorted(self.starts, rows, "right") - 1
        for nth in np.unique(groups):
            group = self.group(nth)
            for place in np.flatnonzero(groups == nth):
                out[place] = group[rows[place] - self.starts[nth]]
        return out

    def scan(self):
        for nth in range(len(self.groups)):
            yield self.group(nth)


class Pyarrow(Parquet):
    """Our files, as any Parquet."""

    def paths(self):
        return sorted(self.folder.glob("*.parquet"))


class Datasets:
    """As `Dataset.from_generator` writes it, mapped, in the format of numpy."""

    def write(self, values):
        from datasets import Array2D, Array4D, Dataset, Features

        array = {2: Array2D, 4: Array4D}[len(self.shape)]
        features = Features({self.column: array(shape=tuple(self.shape), dtype="float16")})
        Dataset.from_generator(
            lambda: ({self.column: row} for row in values),
            features=features,
            cache_dir=str(self.folder),
        )

    def open(self):
        from datasets import Dataset, concatenate_datasets

        parts = [Dataset.from_file(str(path)) for path in sorted(self.folder.rglob("*.arrow"))]
        self.dataset = concatenate_datasets(parts).with_format("numpy")

    def batch(self, rows):
        return self.dataset[rows][self.column]

    def scan(self):
        for batch in self.dataset.iter(batch_size=BATCH):
            yield batch[self.column]


class Lance:
    """Fixed-size lists; rows by `take`."""

    def write(self, values):
        import lance
        import pyarrow as pa

        schema = self.table_schema()
        reader = pa.RecordBatchReader.from_batches(schema, self.record_batches(values))
        lance.write_dataset(reader, str(self.folder / "x.lance"))

    def open(self):
        import lance

        self.dataset = lance.dataset(str(self.folder / "x.lance"))

    def batch(self, rows):
        column = self.dataset.take(rows, columns=[self.column]).column(0)
        return self.flat(column.combine_chunks())

    def scan(self):
        for batch in self.dataset.to_batches(columns=[self.column], batch_size=BATCH):
            yield self.flat(batch.column(0))


class Duckdb:
    """Our files by a query. It has no halves: they come as f32."""

    def open(self):
        import duckdb

        self.connection = duckdb.connect()

    def scan(self):
        query = f"select {self.column} from read_parquet('{self.folder}/*.parquet')"
        for batch in self.connection.sql(query).fetch_record_batch(BATCH):
            yield self.flat(batch.column(0))


class Polars:
    """Our files, part by part."""

    def open(self):
        self.paths = sorted(self.folder.glob("*.parquet"))

    def scan(self):
        import polars as pl

        for path in self.paths:
            series = pl.read_parquet(path, columns=[self.column]).get_column(self.column)
            if hasattr(series, "ext"):
                series = series.ext.storage()
            yield series.to_numpy().reshape(-1, *self.shape)


class Common:
    """What the formats share."""

    def __init__(self, shape, column, folder):
        self.shape, self.column, self.folder = shape, column, folder

    def table_schema(self):
        import pyarrow as pa

        return pa.schema([(self.column, pa.list_(pa.float16(), int(np.prod(self.shape))))])

    def record_batches(self, values):
        import pyarrow as pa

        schema = self.table_schema()
        for start in range(0, len(values), BATCH):
            flat = pa.array(values[start : start + BATCH].reshape(-1))
            lists = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(self.shape)))
            yield pa.record_batch([lists], schema)

    def flat(self, lists):
        return lists.flatten().to_numpy(zero_copy_only=True).reshape(-1, *self.shape)


FORMATS = {
    "numpy": (Numpy, "numpy"),
    "ipc": (Ipc, "pyarrow"),
    "safetensors": (Safetensors, "safetensors"),
    "parquet": (Parquet, "pyarrow"),
    "datasets": (Datasets, "datasets"),
    "lance": (Lance, "lance"),
    "pyarrow": (Pyarrow, "pyarrow"),
    "duckdb": (Duckdb, "duckdb"),
    "polars": (Polars, "polars"),
}


def answer(**fields):
    print(json.dumps(fields))
    sys.exit()


def sync(folder):
    for path in folder.rglob("*"):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.close(file)


def timed_write(side, values):
    begun = time.perf_counter()
    side.write(values)
    sync(side.folder)
    return len(values), time.perf_counter() - begun


def timed_read(batches, again, limit):
    """`batches`: makes an iterator of arrays. Gives rows, seconds, and the first array."""
    rows, first = 0, None
    begun = time.perf_counter()
    while True:
        for batch in batches():
            rows += len(batch)
            first = batch if first is None else first
            if time.perf_counter() - begun >= limit:
                return rows, time.perf_counter() - begun, first
        if not again:
            return rows, time.perf_counter() - begun, first


def versions():
    packages = ["numpy", "pyarrow", "safetensors", "datasets", "pylance", "duckdb", "polars"]
    found = [f"Python {sys.version.split()[0]}"]
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} missing")
    return ", ".join(found)


def main():
    name, what, shape, column, values_path, order_path, folder, limit = sys.argv[1:]
    shape, limit = [int(size) for size in shape.split(",")], float(limit)
    kind, module = FORMATS[name]
    side = type(kind.__name__, (kind, Common), {})(shape, column, Path(folder))
    try:
        importlib.import_module(module)
    except ImportError as error:
        answer(skipped=str(error))
    values = np.memmap(values_path, np.float16, "r").reshape(-1, *shape)
    if what == "write":
        rows, seconds = timed_write(side, np.fromfile(values_path, np.float16).reshape(-1, *shape))
        answer(rows=rows, seconds=seconds)
    operation, temperature = what.split("-")
    if operation == "random" and not hasattr(side, "batch"):
        answer(skipped="it picks no rows")
    side.open()
    order = np.fromfile(order_path, np.int64)
    order = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
    batches = side.scan if operation == "scan" else lambda: (side.batch(rows) for rows in order)
    rows, seconds, first = timed_read(batches, temperature == "warm", limit)
    wanted = values[: len(first)] if operation == "scan" else values[order[0]]
    assert first.shape == wanted.shape, f"{first.shape} is not {wanted.shape}"
    assert np.array_equal(first, wanted), "other values than were written"
    answer(rows=rows, seconds=seconds)


if __name__ == "__main__":
    try:
        import numpy as np
    except ImportError as error:
        answer(skipped=str(error))
    if sys.argv[1:] == ["versions"]:
        print(versions())
    else:
        main()
