"""How fast rows come into Python, beside the Rust reader and beside others.

    python python/bench/read.py --gigabytes 0.5

Writes the same values for each reader into a temporary folder, and reads batches of 64 rows in one random order of all
rows, by one thread, as float32: what a training reads. MB/s count the values as halves, two bytes each, as
`docs/benchmarks.md` does. `--cold` drops the files from memory before each measurement. Of several rounds, in which all
readers take turns, the median is printed with the least and the most, and the median of the ratios to the Rust reader
beside it. What is not installed is said below the table.

The last lines measure the wait of a loop whose step takes 50 ms.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import gimlet

BATCH = 64
#: The sizes of rows of `docs/benchmarks.md`.
SHAPES = [(128, 512), (49, 64, 16, 16)]


def made(rows, shape, at):
    """Half of the values zero, the others half a normal distribution, as after a ReLU."""
    drawn = np.random.default_rng(at)
    return np.maximum(drawn.standard_normal((rows, *shape), dtype=np.float32), 0).astype(np.float16)


class Ours:
    """`data.loader`."""

    def __init__(self, folder, to):
        self.data, self.to = gimlet.dataset(folder / "ours", columns=["activation"], dtype="f32"), to
        self.files = sorted((folder / "ours").glob("*/*.parquet"))

    def read(self):
        loader = self.data.loader(BATCH, seed=1, threads=1, to=self.to)
        count = 0
        for batch in loader:
            count += len(batch["activation"])
        return count


class Rust(Ours):
    """The same reader without Python: into one set of buffers, which nothing reads."""

    def read(self):
        return self.data.loader(BATCH, seed=1, threads=1, to="numpy")._native().read_through(0)


class Memmap:
    """`numpy.memmap` of one file of values."""

    def __init__(self, folder):
        self.files = [folder / "plain.npy"]
        self.values = np.load(self.files[0], mmap_mode="r")

    def read(self):
        return sum(len(self.values[rows].astype(np.float32)) for rows in in_turn(len(self.values)))


class Arrow:
    """pyarrow, on our own files: the row groups of a batch, and its rows of them."""

    #: It is slow: some batches do.
    BATCHES = 4

    def __init__(self, folder):
        import pyarrow.dataset

        self.files = sorted((folder / "ours").glob("*/*.parquet"))
        self.dataset = pyarrow.dataset.dataset(list(map(str, self.files)))
        self.rows = self.dataset.count_rows()

    def read(self):
        count = 0
        for rows in in_turn(self.rows)[: self.BATCHES]:
            table = self.dataset.take(rows, columns=["activation"])
            tensor = table["activation"].combine_chunks()
            count += len(tensor.to_numpy_ndarray().astype(np.float32))
        return count


class HuggingFace:
    """`datasets`, in its own format."""

    def __init__(self, folder):
        import datasets

        datasets.disable_progress_bars()
        values = np.load(folder / "plain.npy", mmap_mode="r")
        shape = values.shape[1:]
        of = datasets.Sequence(datasets.Value("float16"), length=int(np.prod(shape)))
        features = datasets.Features({"activation": of})

        def rows():
            for row in values:
                yield {"activation": row.reshape(-1)}

        made = datasets.Dataset.from_generator(rows, features=features, cache_dir=str(folder / "hf"))
        self.files = sorted((folder / "hf").rglob("*.arrow"))
        self.table, self.shape = made.with_format("numpy"), shape

    def read(self):
        count = 0
        for rows in in_turn(len(self.table)):
            read = self.table[rows]["activation"].reshape(-1, *self.shape).astype(np.float32)
            count += len(read)
        return count


class Lance:
    """Lance, in its own format."""

    def __init__(self, folder):
        import lance
        import pyarrow

        values = np.load(folder / "plain.npy", mmap_mode="r")
        shape, at = values.shape[1:], folder / "lance"
        for start in range(0, len(values), 256):
            part = np.ascontiguousarray(values[start : start + 256])
            flat = pyarrow.array(part.reshape(-1))
            lists = pyarrow.FixedSizeListArray.from_arrays(flat, int(np.prod(shape)))
            table = pyarrow.table({"activation": lists})
            lance.write_dataset(table, at, mode="append" if start else "create")
        self.data, self.shape = lance.dataset(at), shape
        self.files = [path for path in at.rglob("*") if path.is_file()]

    def read(self):
        count = 0
        for rows in in_turn(self.data.count_rows()):
            column = self.data.take(rows.tolist(), columns=["activation"])["activation"].combine_chunks()
            values = column.flatten().to_numpy().reshape(-1, *self.shape).astype(np.float32)
            count += len(values)
        return count


def in_turn(rows):
    order = np.random.default_rng(2).permutation(rows)
    return [order[start : start + BATCH] for start in range(0, rows, BATCH)]


def drop(files):
    """Drops files from the memory of the system."""
    for path in files:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def write(folder, shape, gigabytes):
    """Writes the values as one plain file, and as a dataset of ours; returns the number of rows."""
    row = int(np.prod(shape))
    rows = max(4 * BATCH, int(gigabytes * 1e9 / (2 * row)) // BATCH * BATCH)
    plain = np.lib.format.open_memmap(
        folder / "plain.npy", mode="w+", dtype=np.float16, shape=(rows, *shape)
    )
    with gimlet.writer(
        folder / "ours", settings={"bench": shape}, columns={"activation": ("f16", shape)}
    ) as out:
        for start in range(0, rows, BATCH):
            values = made(BATCH, shape, start)
            plain[start : start + BATCH] = values
            out.write(np.arange(start, start + BATCH), activation=values)
    plain.flush()
    return rows


def readers(folder, skipped):
    """Each reader that can be had, by name. The Rust reader is first."""
    found = {"Rust reader": Rust(folder, "numpy"), "ours, into NumPy": Ours(folder, "numpy")}
    others = {
        "ours, into torch": lambda: Ours(folder, "torch"),
        "numpy memmap": lambda: Memmap(folder),
        "pyarrow, our files": lambda: Arrow(folder),
        "Hugging Face datasets": lambda: HuggingFace(folder),
        "Lance": lambda: Lance(folder),
    }
    for name, make in others.items():
        try:
            found[name] = make()
        except (ImportError, gimlet.Usage) as error:
            skipped.append(f"{name}: {str(error).splitlines()[0]}")
        except Exception as error:
            skipped.append(f"{name}: {type(error).__name__}: {error}")
    return found


def measure(found, rounds, is_cold, row_bytes):
    """MB/s by name, a number for each round."""
    speeds = {name: [] for name in found}
    for name, reader in found.items():
        reader.read()  # all are equally warm, where the host remembers
    for _ in range(rounds):
        for name, reader in found.items():
            if is_cold:
                drop(reader.files)
            began = time.perf_counter()
            rows = reader.read()
            speeds[name].append(rows * row_bytes / (time.perf_counter() - began) / 1e6)
    return speeds


def show(speeds):
    rust = speeds["Rust reader"]
    print(f"{'':22}  {'MB/s':>6}  {'least to most':>16}  beside Rust")
    for name, all_of in speeds.items():
        ratio = statistics.median(own / beside for own, beside in zip(all_of, rust))
        span = f"{min(all_of):,.0f} to {max(all_of):,.0f}"
        print(f"{name:22}  {statistics.median(all_of):6,.0f}  {span:>16}  {ratio:.3f}")


def show_waiting(folder, to, seconds=0.05, steps=60):
    """The share of a loop that waits for rows, where a step takes 50 ms."""
    data = gimlet.dataset(folder / "ours", columns=["activation"], dtype="f32")
    loader = data.loader(BATCH, seed=1, to=to)
    began, taken, waited = None, 0, 0.0
    while taken < steps:
        for _ in loader:
            if began is None:
                # The first batch cannot have been read ahead.
                began, waited = time.perf_counter(), loader.waited
            time.sleep(seconds)
            taken += 1
            if taken == steps:
                break
    share = (loader.waited - waited) / (time.perf_counter() - began)
    print(f"waited: {100 * share:.2f} % of {taken} steps of {1000 * seconds:.0f} ms, epochs' beginnings included")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--gigabytes", type=float, default=0.5, help="of values, for each size of rows")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--cold", action="store_true", help="drop files from memory before each measurement")
    arguments.add_argument("--folder", help="where the files are written; a temporary folder by default")
    given = arguments.parse_args()
    for shape in SHAPES:
        skipped = []
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            folder = Path(folder)
            rows = write(folder, shape, given.gigabytes)
            row_bytes = 2 * int(np.prod(shape))
            state = "cold" if given.cold else "warm"
            print(f"\n{rows:,} rows of {list(shape)} halves, {row_bytes / 1e6:.2f} MB a row, {state}\n")
            show(measure(readers(folder, skipped), given.rounds, given.cold, row_bytes))
            print()
            to = "torch" if "ours, into torch" not in {it.split(":")[0] for it in skipped} else "numpy"
            show_waiting(folder, to)
            for line in skipped:
                print(f"skipped: {line}")


if __name__ == "__main__":
    main()
