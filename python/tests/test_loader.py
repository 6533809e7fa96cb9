"""Batches in the order of a training."""

import gc
import os
import pickle
import threading

import numpy as np
import pytest
from conftest import values

import gimlet


@pytest.fixture
def data(made):
    return gimlet.dataset(made[0], dtype="f32")


def ids(loader):
    return [batch["id"].tolist() for batch in loader]


def test_the_order_is_that_of_a_training(tmp_path):
    """`src/train/feed.rs` expects the same of the loop that trains."""
    with gimlet.writer(tmp_path, settings={}, columns={"x": ("f32", (1,))}) as out:
        out.write(range(10), x=np.zeros((10, 1), np.float32))
    data = gimlet.dataset(tmp_path)
    loader = data.loader(batch=3, seed=1, epoch=1, module="a", drop_last=True, to="numpy")
    assert loader.order(1).tolist() == [6, 7, 0, 5, 2, 9, 1, 3, 4, 8]
    assert sum(ids(loader), []) == loader.order(1).tolist()[:9]


def test_an_epoch_has_every_row_once(data, made):
    loader = data.loader(batch=6, seed=4, to="numpy")
    batches = list(loader)
    assert [len(batch["id"]) for batch in batches] == [6, 6, 6, 2] and len(loader) == 4
    rows = np.concatenate([batch["id"] for batch in batches]) - 100
    assert sorted(rows) == list(range(20)) and rows.tolist() != list(range(20))
    assert rows.tolist() == loader.order(0).tolist()
    read = np.concatenate([batch["activation"] for batch in batches])
    np.testing.assert_array_equal(read, made[1][rows])
    assert np.concatenate([batch["label"] for batch in batches]).tolist() == (rows % 3).tolist()


def test_epochs_seeds_and_modules_have_orders_of_their_own(data):
    def order(**settings):
        return data.loader(batch=20, to="numpy", **settings).order(settings.get("epoch", 0)).tolist()

    orders = [order(seed=1), order(seed=2), order(seed=1, epoch=1), order(seed=1, module="b")]
    assert len(set(map(tuple, orders))) == 4
    loader = data.loader(batch=20, seed=1, to="numpy")
    assert [sum(ids(loader), []), sum(ids(loader), [])] == [
        [row + 100 for row in orders[0]],
        [row + 100 for row in orders[2]],
    ]


def test_start_leaves_out_the_first_rows(data):
    order = data.loader(batch=4, seed=1, epoch=3, to="numpy").order(3) + 100
    late = data.loader(batch=4, seed=1, epoch=3, start=5, to="numpy")
    assert sum(ids(late), []) == order[5:].tolist()
    assert (late.epoch, late.start) == (4, 0)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_threads_and_memory_change_nothing(data, threads, memory):
    loader = data.loader(batch=3, seed=1, threads=threads, memory=memory, to="numpy")
    batches = list(loader)
    assert np.concatenate([batch["id"] for batch in batches]).tolist() == (loader.order(0) + 100).tolist()


def test_a_state_goes_on_at_the_very_next_row(data):
    loader = data.loader(batch=6, seed=9, to="numpy")
    whole = sum((sum(ids(loader), []) for _ in range(3)), [])
    for taken in range(1, 9):
        first = data.loader(batch=6, seed=9, to="numpy")
        seen, batches = [], 0
        while batches < taken:
            for batch in first:
                seen += batch["id"].tolist()
                batches += 1
                if batches == taken:
                    break
        state = pickle.loads(pickle.dumps(first.state_dict()))
        # Batches of another size, in another object.
        other = gimlet.dataset(data.path, dtype="f32").loader(batch=5, seed=9, to="numpy")
        other.load_state_dict(state)
        while other.epoch < 3:
            seen += sum(ids(other), [])
        assert seen == whole


def test_the_state_of_other_rows_is_refused(data, tmp_path):
    state = data.loader(batch=6, seed=9, to="numpy").state_dict()
    with pytest.raises(gimlet.Usage, match="seed"):
        data.loader(batch=6, seed=8, to="numpy").load_state_dict(state)
    with pytest.raises(gimlet.Usage, match="key"):
        data.loader(batch=6, seed=9, to="numpy").load_state_dict({**state, "key": "0" * 64})
    with pytest.raises(gimlet.Usage, match="no state"):
        data.loader(batch=6, seed=9, to="numpy").load_state_dict({"epoch": 1})
    with pytest.raises(gimlet.Usage, match="beyond"):
        data.loader(batch=6, seed=9, to="numpy").load_state_dict({**state, "start": 21})


def test_a_loop_that_is_left_goes_on(data):
    loader = data.loader(batch=6, seed=1, to="numpy")
    for batch in loader:
        first = batch["id"].tolist()
        break
    rest = sum(ids(loader), [])
    assert first + rest == (loader.order(0) + 100).tolist()


def test_whole_batches_only(data):
    loader = data.loader(batch=6, seed=1, drop_last=True, to="numpy")
    assert [len(batch) for batch in ids(loader)] == [6, 6, 6] and len(loader) == 3
    assert (loader.epoch, loader.start) == (1, 0)


def test_views_take_turns(tmp_path):
    """Three views of four samples: rows of view 0 come first, as our own datasets have them."""
    with gimlet.writer(
        tmp_path, settings={}, columns={"x": ("f32", (1,))}, attributes=["view"]
    ) as out:
        view = np.repeat(np.arange(3), 4)
        out.write(range(12), x=np.zeros((12, 1), np.float32), view=view)
    loader = gimlet.dataset(tmp_path).loader(batch=4, seed=1, to="numpy")
    epochs = [sum(ids(loader), []) for _ in range(3)]
    assert all(sorted(row % 4 for row in epoch) == [0, 1, 2, 3] for epoch in epochs)
    assert sorted(sum(epochs, [])) == list(range(12))


def test_columns_and_types(made):
    data = gimlet.dataset(made[0])
    batch = next(iter(data.loader(batch=2, columns=["activation"], to="numpy")))
    assert list(batch) == ["activation"] and batch["activation"].dtype == np.float16
    batch = next(iter(data.loader(batch=2, columns=["label", "activation"], dtype="f32", to="numpy")))
    assert list(batch) == ["label", "activation"] and batch["activation"].dtype == np.float32
    assert [len(it["id"]) for it in data.loader(batch=9, columns=["id"], to="numpy")] == [9, 9, 2]


@pytest.mark.parametrize(
    "settings",
    [
        {"batch": 0},
        {"batch": 2.5},
        {"seed": -1},
        {"start": 21},
        {"threads": 0},
        {"columns": ["nothing"]},
        {"columns": []},
        {"dtype": "f64"},
        {"views": 3},
        {"to": "jax"},
        {"to": "numpy", "pin_memory": True},
    ],
)
def test_wrong_settings(made, settings):
    with pytest.raises(gimlet.Usage):
        gimlet.dataset(made[0]).loader(**{"batch": 2, **settings})


def test_memory_goes_round_and_what_is_kept_stays(tmp_path):
    y = values(400, (16, 16))
    with gimlet.writer(tmp_path, settings={}, columns={"x": ("f32", (16, 16))}) as out:
        out.write(range(400), x=y)
    data = gimlet.dataset(tmp_path, columns=["id", "x"])
    loader = data.loader(batch=10, seed=1, to="numpy")
    places, kept = set(), []
    for batch in loader:
        places.add(batch["x"].__array_interface__["data"][0])
    assert len(places) <= 10, "40 batches were read into new memory"
    for batch in loader:
        kept.append(batch)
    read = np.concatenate([batch["x"] for batch in kept])
    np.testing.assert_array_equal(read, y[np.concatenate([batch["id"] for batch in kept])])


def test_a_loop_that_is_left_ends_its_threads(data):
    def threads():
        return len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else threading.active_count()

    before = threads()
    for _ in range(20):
        for _ in data.loader(batch=2, to="numpy"):
            break
        gc.collect()
    assert threads() <= before + 2


def test_a_loader_can_be_pickled(data):
    loader = data.loader(batch=6, seed=1, to="numpy")
    next(iter(loader))
    again = pickle.loads(pickle.dumps(loader))
    assert sum(ids(again), []) == (loader.order(0) + 100).tolist()[6:]
