"""Opening and reading a dataset."""

import multiprocessing
import os
import pickle
import shutil

import numpy as np
import pytest
from conftest import QUICKSTART, command, values, write

import gimlet


def test_rows_come_back_as_they_were_written(made):
    path, y = made
    with gimlet.dataset(path) as data:
        assert (len(data), data.rows) == (20, 20)
        rows = data[[5, 3, 5]]
        assert rows["activation"].dtype == np.float16
        assert rows["activation"].shape == (3, 3, 4)
        np.testing.assert_array_equal(rows["activation"], y[[5, 3, 5]].astype(np.float16))
        assert rows["id"].tolist() == [105, 103, 105]
        assert rows["label"].tolist() == [2, 0, 2]
        assert list(rows) == ["id", "label", "activation"]


def test_float16_is_widened_on_demand(made):
    path, y = made
    data = gimlet.dataset(path, columns=["activation"], dtype="f32")
    assert data[:]["activation"].dtype == np.float32
    np.testing.assert_array_equal(data[:]["activation"], y)
    assert list(data[0]) == ["activation"]


def test_every_way_to_name_rows(made):
    path, y = made
    data = gimlet.dataset(path, dtype="f32")
    np.testing.assert_array_equal(data[-1]["activation"], y[-1])
    np.testing.assert_array_equal(data[np.int64(4)]["activation"], y[4])
    np.testing.assert_array_equal(data[3:17:5]["activation"], y[3:17:5])
    np.testing.assert_array_equal(data[::-1]["activation"], y[::-1])
    np.testing.assert_array_equal(data[np.array([7, -2])]["activation"], y[[7, -2]])
    np.testing.assert_array_equal(data[data.labels == 1]["activation"], y[1::3])
    assert data[[]]["activation"].shape == (0, 3, 4)
    assert data[3]["id"] == 103
    # The rows of a loop end.
    assert [row["id"] for row in data] == data.ids.tolist()


@pytest.mark.parametrize("row", [20, -21, [0, 20], 1 << 62])
def test_a_row_that_is_not_there(made, row):
    with pytest.raises(IndexError, match="of 20 rows"):
        gimlet.dataset(made[0])[row]


@pytest.mark.parametrize("rows", [1.5, [0.0], [[0, 1]], "activation", [True, False]])
def test_what_is_no_row(made, rows):
    with pytest.raises(gimlet.Usage):
        gimlet.dataset(made[0])[rows]


def test_what_it_says_of_itself(made):
    path, _ = made
    data = gimlet.dataset(path)
    assert data.schema == {
        "id": ("i64", (), ()),
        "label": ("i64", (), ()),
        "activation": ("f16", (3, 4), ()),
    }
    assert data.labels.tolist() == [row % 3 for row in range(20)]
    assert data.manifest["rows"] == 20
    assert data.manifest["statistics"]["activation"]["count"] == 240
    assert data.manifest["settings"] == {"made": 1}
    assert data.generation == 1 and len(data.key) == 64
    assert str(path) in repr(data) and "20 rows" in repr(data)


def test_eight_bits_are_scaled_unless_asked_for(tmp_path):
    y = write(tmp_path, dtype="i8")
    scaled = gimlet.dataset(tmp_path)[:]["activation"]
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, y, atol=np.abs(y).max() / 100)
    stored = gimlet.dataset(tmp_path, dtype="stored")[:]
    assert stored["activation"].dtype == np.int8
    assert stored["activation_scale"].shape == (20, 4)
    product = stored["activation"].astype(np.float32) * stored["activation_scale"][:, None, :]
    np.testing.assert_array_equal(product, scaled)


def test_our_reader_and_pyarrow_agree(made):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    path, _ = made
    table = pyarrow.read_table(sorted(path.glob("*/*.parquet"))).combine_chunks()
    data = gimlet.dataset(path)
    ours = data[:]["activation"]
    np.testing.assert_array_equal(table["activation"].chunk(0).to_numpy_ndarray(), ours)
    keys = ["id", "label"]
    assert data.to_arrow().select(keys).to_pydict() == table.select(keys).to_pydict()
    again = data.to_arrow()["activation"].chunk(0)
    np.testing.assert_array_equal(again.to_numpy_ndarray(), ours)


def test_a_table_of_pandas(made):
    pytest.importorskip("pandas")
    path, y = made
    frame = gimlet.dataset(path, dtype="f32").to_pandas()
    assert frame["id"].tolist() == list(range(100, 120))
    np.testing.assert_array_equal(np.stack(frame["activation"]), y)


def test_a_dataset_of_hugging_face(made):
    pytest.importorskip("datasets")
    path, y = made
    table = gimlet.dataset(path, dtype="f32").to_hf().with_format("numpy")
    np.testing.assert_array_equal(table["activation"][:], y)
    assert list(table["label"][:3]) == [0, 1, 2]


def test_the_newest_whole_generation_is_opened(made):
    path, _ = made
    y = write(path, 5, settings={"made": 2})
    newest = gimlet.dataset(path)
    assert (newest.generation, newest.rows) == (2, 5)
    np.testing.assert_array_equal(newest[:]["activation"], y.astype(np.float16))
    newest.close()
    next(path.glob(f"{newest.key[:16]}/*.parquet")).unlink()
    assert gimlet.dataset(path).generation == 1


def test_there_is_no_dataset(tmp_path):
    with pytest.raises(gimlet.Missing, match="no dataset") as caught:
        gimlet.dataset(tmp_path / "nothing")
    assert caught.value.hint and "hint: " in str(caught.value)
    assert isinstance(caught.value, gimlet.Error)


def test_a_dataset_that_is_not_committed(tmp_path):
    out = gimlet.writer(tmp_path, settings={}, columns={"x": ("f32", (2,))}, rows_per_part=2)
    out.write([1, 2], x=np.zeros((2, 2), np.float32))
    out.leave()
    with pytest.raises(gimlet.Missing, match="not committed"):
        gimlet.dataset(tmp_path)


def test_a_column_that_is_not_there(made):
    with pytest.raises(gimlet.Usage, match="`nothing`") as caught:
        gimlet.dataset(made[0], columns=["nothing"])
    assert "`activation`" in caught.value.hint
    with pytest.raises(gimlet.Usage, match="activation_scale"):
        gimlet.dataset(made[0], columns=["activation_scale"])
    with pytest.raises(gimlet.Usage, match="f64"):
        gimlet.dataset(made[0], dtype="f64")


def flip_a_bit(path, row_value):
    """Changes one bit of the values of a row, wherever they are in the part."""
    part = next(path.glob("*/*.parquet"))
    found = bytearray(part.read_bytes())
    at = found.index(row_value.astype("<f2").tobytes())
    found[at] ^= 1
    part.chmod(0o644)
    part.write_bytes(found)
    return part


def test_a_flipped_bit_is_noticed(made):
    path, y = made
    part = flip_a_bit(path, y[7])
    data = gimlet.dataset(path)
    assert data[6]["id"] == 106
    with pytest.raises(gimlet.Damaged) as caught:
        data[[6, 7]]
    assert part.name in str(caught.value) and caught.value.hint
    with pytest.raises(gimlet.Damaged):
        for _ in data.loader(batch=4, to="numpy"):
            pass


def test_a_dataset_that_is_deleted_while_it_is_open(made):
    path, y = made
    data = gimlet.dataset(path)
    shutil.rmtree(path)
    # What is open stays readable; what is opened after it is missing.
    np.testing.assert_array_equal(data[3]["activation"], y[3].astype(np.float16))
    with pytest.raises(gimlet.Missing):
        pickle.loads(pickle.dumps(data))[3]


def test_closed(made):
    data = gimlet.dataset(made[0])
    with data:
        pass
    with pytest.raises(gimlet.Usage, match="closed"):
        data[0]
    assert "closed" in repr(data)


def test_a_pickle_opens_the_same_generation(made):
    path, y = made
    data = gimlet.dataset(path, columns=["activation"], dtype="f32")
    other = pickle.dumps(data)
    write(path, 5, settings={"made": 2})
    again = pickle.loads(other)
    assert (again.generation, again.key, again.rows) == (1, data.key, 20)
    np.testing.assert_array_equal(again[4]["activation"], y[4])


def read_in_child(data, rows):
    return data[rows]["activation"].tobytes(), os.getpid()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_open_it_anew(made, method):
    path, _ = made
    data = gimlet.dataset(path)
    expected = data[[1, 2]]["activation"].tobytes()
    with multiprocessing.get_context(method).Pool(1) as pool:
        read, process = pool.apply(read_in_child, (data, [1, 2]))
    assert read == expected and process != os.getpid()


def test_a_fork_after_opening(made):
    path, y = made
    data = gimlet.dataset(path)
    assert len(data[:]["id"]) == 20
    child = os.fork()
    if child == 0:
        # Only what is left of the handle: no assertion of pytest in a second process.
        same = np.array_equal(data[9]["activation"], y[9].astype(np.float16))
        order = [row for batch in data.loader(4, to="numpy") for row in batch["id"]]
        os._exit(0 if same and len(order) == 20 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    # The child's end lets go of nothing here.
    np.testing.assert_array_equal(data[2]["activation"], y[2].astype(np.float16))


def test_an_open_dataset_is_leased(run_dir, tmp_path):
    """`gimlet gc` removes a superseded generation that nothing needs, but not while it is open."""
    shutil.copytree(run_dir, tmp_path / "run")
    split = tmp_path / "run" / "datasets" / "a" / "test"
    data = gimlet.dataset(split)
    first = split / f"{data.generation:08}.json"
    write(split, 4)
    # Under other settings than those of the run.
    words = ["gc", QUICKSTART, "--run-dir", tmp_path / "run", "--keep", "1"]
    ended = command(*words)
    assert ended.returncode == 0 and first.exists(), ended.stdout + ended.stderr
    assert data[-1]["activation"].shape == (36, 8, 8, 16)
    data.close()
    ended = command(*words)
    assert ended.returncode == 0 and not first.exists(), ended.stdout + ended.stderr


def test_errors_survive_pickling():
    error = gimlet.Missing("not there", "look elsewhere")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.hint) == (gimlet.Missing, "not there", "look elsewhere")
    assert str(again) == "not there\nhint: look elsewhere"
    assert issubclass(gimlet.Usage, ValueError)


def test_random_rows_of_many_parts(tmp_path):
    y = values(50)
    with gimlet.writer(
        tmp_path, settings={}, columns={"activation": ("f32", (3, 4))}, rows_per_part=8
    ) as out:
        for start in range(0, 50, 7):
            out.write(np.arange(start, min(50, start + 7)), activation=y[start : start + 7])
    data = gimlet.dataset(tmp_path)
    assert len(data.manifest["parts"]) == 7
    rows = np.random.default_rng(1).integers(0, 50, 200)
    np.testing.assert_array_equal(data[rows]["activation"], y[rows])
    assert data.labels.tolist() == [-1] * 50
