"""Writing a dataset: rounding, going on, comparing, and what is refused."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import values, write

import gimlet

COLUMNS = {"x": ("f32", (2,))}


def rows_of(path):
    return sorted(path.glob("*/*.parquet"))


def test_what_another_reader_sees(tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    y = values(10)
    with gimlet.writer(
        tmp_path,
        split="train",
        settings={"layer": 8},
        columns={"activation": ("f16", (3, 4), ("step", "channel"))},
        attributes=["fold"],
        label_names=["cat", "dog"],
    ) as out:
        out.write(np.arange(10), activation=y, label=np.arange(10) % 2, fold=np.arange(10) // 5)
    assert out.generation == 1
    (part,) = rows_of(tmp_path / "train")
    table = pyarrow.read_table(part)
    assert table.column_names == ["id", "label", "fold", "activation"]
    assert table["fold"].to_pylist() == [0] * 5 + [1] * 5
    assert table.schema.field("activation").type.dim_names == ["step", "channel"]
    np.testing.assert_array_equal(
        table["activation"].combine_chunks().to_numpy_ndarray(), y.astype(np.float16)
    )
    data = gimlet.dataset(tmp_path / "train")
    assert data.label_names == ["cat", "dog"]
    assert data[[7]]["fold"].tolist() == [1]
    assert data.schema["activation"].dims == ("step", "channel")


def test_float32_is_rounded_to_the_nearest_even(tmp_path):
    y = np.float32([1 + 2**-11, 1 + 3 * 2**-11, 2**-25, 65519.0, 1e-3]).reshape(5, 1)
    with gimlet.writer(tmp_path, settings={}, columns={"x": ("f16", (1,))}) as out:
        out.write(range(5), x=y)
    np.testing.assert_array_equal(gimlet.dataset(tmp_path)[:]["x"], y.astype(np.float16))


def test_float16_is_taken_as_it_is(tmp_path):
    y = values(6).astype(np.float16)
    with gimlet.writer(tmp_path, settings={}, columns={"x": ("f16", (3, 4))}) as out:
        out.write(range(6), x=y)
    np.testing.assert_array_equal(gimlet.dataset(tmp_path)[:]["x"], y)


def test_bytes(tmp_path):
    y = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with gimlet.writer(tmp_path, settings={}, columns={"x": ("u8", (4,))}, compression="zstd") as out:
        out.write(range(3), x=y)
    np.testing.assert_array_equal(gimlet.dataset(tmp_path)[:]["x"], y)


def test_arrays_that_do_not_lie_side_by_side(tmp_path):
    y = values(6, (4, 3))
    with gimlet.writer(tmp_path, settings={}, columns={"x": ("f32", (3, 4))}) as out:
        out.write(np.arange(12)[::2], x=y.transpose(0, 2, 1))
    read = gimlet.dataset(tmp_path)[:]
    np.testing.assert_array_equal(read["x"], y.transpose(0, 2, 1))
    assert read["id"].tolist() == [0, 2, 4, 6, 8, 10]


def test_an_error_commits_nothing_and_keeps_whole_parts(tmp_path):
    y = values(20)
    with pytest.raises(ZeroDivisionError):
        with gimlet.writer(
            tmp_path, settings={}, columns={"x": ("f32", (3, 4))}, rows_per_part=8
        ) as out:
            out.write(range(20), x=y)
            raise ZeroDivisionError
    with pytest.raises(gimlet.Missing):
        gimlet.dataset(tmp_path)
    with gimlet.writer(
        tmp_path, settings={}, columns={"x": ("f32", (3, 4))}, rows_per_part=8
    ) as out:
        assert out.done_ids.tolist() == list(range(16))
        out.write(range(16, 20), x=y[16:])
    np.testing.assert_array_equal(gimlet.dataset(tmp_path)[:]["x"], y)


KILLED = """
import os, signal, sys
import numpy as np
import gimlet

y = np.load(sys.argv[2])
with gimlet.writer(sys.argv[1], settings={}, columns={"x": ("f32", (3, 4))}, rows_per_part=8) as out:
    done = set(out.done_ids.tolist())
    for start in range(0, len(y), 5):
        ids = [row for row in range(start, start + 5) if row not in done]
        if not ids:
            continue
        out.write(ids, x=y[ids])
        if start == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_is_killed_goes_on_and_ends_in_the_same_bytes(tmp_path):
    y = values(50)
    np.save(tmp_path / "y.npy", y)

    def run(path, until):
        words = [sys.executable, "-c", KILLED, path, tmp_path / "y.npy", str(until)]
        return subprocess.run(list(map(os.fspath, words)), timeout=60).returncode

    assert run(tmp_path / "whole", -1) == 0
    codes = [run(tmp_path / "killed", until) for until in (10, 25, 40, 45, -1)]
    assert codes == [-signal.SIGKILL] * 4 + [0]
    parts = [[part.read_bytes() for part in rows_of(tmp_path / name)] for name in ("whole", "killed")]
    assert parts[0] == parts[1] and len(parts[0]) == 7


def test_a_second_writer_with_the_same_settings_compares(made):
    path, y = made
    before = {part: part.stat().st_mtime_ns for part in rows_of(path)}
    assert write(path).tolist() == y.tolist()
    data = gimlet.dataset(path)
    assert data.generation == 1
    assert {part: part.stat().st_mtime_ns for part in rows_of(path)} == before
    out = gimlet.writer(path, settings={"made": 1}, columns={"activation": ("f16", (3, 4))})
    assert out.done_ids.tolist() == list(range(100, 120))
    # In another order, and only some of them.
    out.write([119, 103], activation=y[[19, 3]], label=[1, 0])
    other = y[[4]].copy()
    other[0, 1, 2] += 1
    with pytest.raises(gimlet.Damaged, match="id 104.*`activation`"):
        out.write([104], activation=other, label=[1])
    with pytest.raises(gimlet.Damaged, match="`label`"):
        out.write([105], activation=y[[5]], label=[0])
    with pytest.raises(gimlet.Usage, match="id 7") as caught:
        out.write([7], activation=y[[5]], label=[0])
    assert "settings" in caught.value.hint


def test_other_settings_are_another_generation(made):
    path, _ = made
    first = gimlet.dataset(path)
    write(path, 4, settings={"made": 2})
    second = gimlet.dataset(path)
    assert second.key != first.key and (first.rows, second.rows) == (20, 4)
    # The order in which settings are given is none of theirs.
    keys = [
        gimlet.writer(path, settings=settings, columns=COLUMNS).key
        for settings in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3})
    ]
    assert keys[0] == keys[1] != keys[2]


def test_ids_twice(tmp_path):
    out = gimlet.writer(tmp_path, settings={}, columns=COLUMNS)
    with pytest.raises(gimlet.Usage, match="id 3 was given twice"):
        out.write([1, 3, 3], x=np.zeros((3, 2), np.float32))
    out.write([1, 2], x=np.zeros((2, 2), np.float32))
    with pytest.raises(gimlet.Usage, match="id 2 was given twice"):
        out.write([4, 2], x=np.zeros((2, 2), np.float32))
    out.write([4], x=np.zeros((1, 2), np.float32))
    out.commit()
    assert gimlet.dataset(tmp_path).ids.tolist() == [1, 2, 4]


ZEROS = np.zeros((2, 2), np.float32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "`x` is missing"),
        ({"x": ZEROS, "z": ZEROS}, "`z` is no column"),
        ({"x": ZEROS[:1]}, r"`x` has shape \[1, 2\]"),
        ({"x": np.zeros((2, 3), np.float32)}, r"not \[2, 2\]"),
        ({"x": np.zeros((2, 2))}, "`float32`"),
        ({"x": np.zeros((2, 2), np.int64)}, "`float32`"),
        ({"x": ZEROS, "label": [1.0, 2.0]}, "labels are whole numbers"),
        ({"x": ZEROS, "label": [1]}, "shape"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path, given, said):
    out = gimlet.writer(tmp_path, settings={}, columns=COLUMNS)
    with pytest.raises(gimlet.Usage, match=said):
        out.write([1, 2], **given)
    out.write([1, 2], x=ZEROS)
    assert out.rows == 2


def test_a_value_that_is_not_finite(tmp_path):
    out = gimlet.writer(tmp_path, settings={}, columns=COLUMNS)
    with pytest.raises(gimlet.Error, match="not a number"):
        out.write([1], x=np.float32([[0, np.nan]]))
        out.commit()


@pytest.mark.parametrize(
    "wrong",
    [
        {"columns": {}},
        {"columns": {"x": "f32"}},
        {"columns": {"x": ("f64", (2,))}},
        {"columns": {"x": ("f32", (0,))}},
        {"columns": {"label": ("f32", (2,))}},
        {"columns": {"x": ("f32", (2,), ("a", "b"))}},
        {"attributes": ["x"]},
        {"settings": {"model": object()}},
        {"settings": {"rate": float("nan")}},
        {"compression": "gzip"},
        {"rows_per_part": 0},
        {"split": "../train"},
    ],
)
def test_wrong_arguments(tmp_path, wrong):
    with pytest.raises(gimlet.Usage) as caught:
        gimlet.writer(tmp_path, **{"settings": {}, "columns": COLUMNS, **wrong})
    assert caught.value.hint


def test_fewer_rows_than_announced(tmp_path):
    out = gimlet.writer(tmp_path, settings={}, columns=COLUMNS, rows=3)
    out.write([1, 2], x=ZEROS)
    with pytest.raises(gimlet.Error, match="2 rows, not 3"):
        out.commit()


def test_no_rows(tmp_path):
    with pytest.raises(gimlet.Error, match="no rows"):
        with gimlet.writer(tmp_path, settings={}, columns=COLUMNS):
            pass


def test_closed(tmp_path):
    out = gimlet.writer(tmp_path, settings={}, columns=COLUMNS)
    out.write([1, 2], x=ZEROS)
    assert out.commit({"seconds": 1}) == 1
    with pytest.raises(gimlet.Usage, match="closed"):
        out.write([3, 4], x=ZEROS)
    with pytest.raises(gimlet.Usage, match="closed"):
        out.commit()
    assert gimlet.dataset(tmp_path).manifest["summary"] == {"seconds": 1}


def test_a_fork_while_writing(tmp_path):
    out = gimlet.writer(tmp_path, settings={}, columns=COLUMNS)
    out.write([1, 2], x=ZEROS)
    child = os.fork()
    if child == 0:
        # Neither this writer nor another: it would wait for threads that are not there.
        said = []
        for begin in (lambda: out, lambda: gimlet.writer(tmp_path, settings={"n": 2}, columns=COLUMNS)):
            try:
                begin().write([3, 4], x=ZEROS)
            except gimlet.Error as error:
                said.append("forked" in str(error))
        os._exit(0 if said == [True, True] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    out.write([3, 4], x=ZEROS)
    out.commit()
    assert gimlet.dataset(tmp_path).rows == 4


def test_damage_is_mended_by_the_same_rows(tmp_path):
    y = values(20)

    def write_all():
        with gimlet.writer(
            tmp_path, settings={}, columns={"x": ("f32", (3, 4))}, rows_per_part=8
        ) as out:
            out.write(range(20), x=y)

    write_all()
    whole = [part.read_bytes() for part in rows_of(tmp_path)]
    rows_of(tmp_path)[1].unlink()
    with pytest.raises(gimlet.Damaged) as caught:
        gimlet.dataset(tmp_path)
    assert "gimlet.writer" in caught.value.hint
    write_all()
    assert [part.read_bytes() for part in rows_of(tmp_path)] == whole
    np.testing.assert_array_equal(gimlet.dataset(tmp_path)[:]["x"], y)
