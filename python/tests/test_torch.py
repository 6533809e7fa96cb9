"""Tensors of torch, and its own loader. Skipped, and said so, where torch is not installed."""

import numpy as np
import pytest
from conftest import values

import gimlet

torch = pytest.importorskip("torch")


def test_rows_as_tensors(made):
    path, y = made
    rows = gimlet.dataset(path)[[5, 3]].torch()
    assert rows["activation"].dtype == torch.float16 and rows["label"].dtype == torch.int64
    assert torch.equal(rows["activation"].float(), torch.from_numpy(y[[5, 3]]))
    alone = gimlet.dataset(path)[5].torch()
    assert alone["activation"].shape == (3, 4) and alone["label"].item() == 2


def test_batches_are_tensors_on_our_memory(made):
    path, y = made
    loader = gimlet.dataset(path).loader(batch=20, dtype="f32")
    batch = next(iter(loader))
    assert isinstance(batch["activation"], torch.Tensor)
    assert torch.equal(batch["activation"], torch.from_numpy(y[loader.order(0)]))


def test_memory_stays_while_a_tensor_is_there(tmp_path):
    y = values(400, (16, 16))
    with gimlet.writer(tmp_path, settings={}, columns={"x": ("f32", (16, 16))}) as out:
        out.write(range(400), x=torch.from_numpy(y))
    kept = [
        (batch["id"], batch["x"][2:4])
        for batch in gimlet.dataset(tmp_path).loader(batch=10, seed=1)
    ]
    for rows, x in kept:
        assert torch.equal(x, torch.from_numpy(y[rows[2:4].numpy()]))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_torch_reads_it_as_a_map(made, workers, method):
    path, y = made
    data = gimlet.dataset(path, dtype="f32")
    assert data[0]["id"] == 100
    loader = torch.utils.data.DataLoader(
        data,
        batch_size=6,
        num_workers=workers,
        multiprocessing_context=method if workers else None,
    )
    batches = list(loader)
    assert [len(batch["id"]) for batch in batches] == [6, 6, 6, 2]
    read = torch.cat([batch["activation"] for batch in batches])
    assert torch.equal(read, torch.from_numpy(y))


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("size", [5, 40_000])
def test_bfloat16_comes_back_as_it_was(tmp_path, dtype, size):
    y = torch.randn(8, size).bfloat16()
    with gimlet.writer(tmp_path, settings={}, columns={"x": (dtype, (size,))}) as out:
        out.write(torch.arange(8), x=y.requires_grad_(), label=torch.zeros(8, dtype=torch.int32))
    data = gimlet.dataset(tmp_path)
    # NumPy has no such type; float32 holds it.
    read = data[:].torch()["x"]
    assert read.dtype == torch.float32 and torch.equal(read, y.detach().float())
    loader = data.loader(batch=8)
    read = next(iter(loader))["x"]
    assert read.dtype == (torch.bfloat16 if dtype == "bf16" else torch.float32)
    assert torch.equal(read, y.detach()[loader.order(0)].to(read.dtype))
    wide = next(iter(data.loader(batch=8, dtype="f32")))["x"]
    assert wide.dtype == torch.float32 and torch.equal(wide, read.float())


def test_bfloat16_is_rounded_as_torch_rounds(tmp_path):
    y = torch.randn(64, 100)
    with gimlet.writer(tmp_path, settings={}, columns={"x": ("bf16", (100,))}) as out:
        out.write(range(64), x=y)
    assert torch.equal(gimlet.dataset(tmp_path)[:].torch()["x"], y.bfloat16().float())
    bits = gimlet.dataset(tmp_path, dtype="stored")[:]["x"]
    assert np.array_equal(bits, y.bfloat16().view(torch.int16).numpy().view(np.uint16))


def test_memory_is_pinned_for_a_gpu_only(made):
    loader = gimlet.dataset(made[0]).loader(batch=4, pin_memory=True)
    if torch.cuda.is_available():
        assert next(iter(loader))["activation"].is_pinned()
    else:
        with pytest.raises(gimlet.Usage, match="GPU"):
            next(iter(loader))


def test_arrays_of_numpy_where_they_are_asked_for(made):
    batch = next(iter(gimlet.dataset(made[0]).loader(batch=4, to="numpy")))
    assert isinstance(batch["activation"], np.ndarray)
