"""What a run has made, read and shown as tables; and the command that made it."""

import json
import sys

import numpy as np
import pytest
from conftest import TINY, command

import gimlet


def test_a_run_is_tables(run_dir):
    run = gimlet.runs(run_dir)
    assert run.pipeline == "quickstart"
    states = {(row["stage"], row["step"], row.get("split")): row["state"] for row in run.status}
    assert set(states.values()) == {"done"}
    assert ("a", "encode", "train") in states and ("b", "train", None) in states
    kinds = [(row["module"], row["kind"]) for row in run.probes]
    assert len(kinds) == 6 and ("c", "trained") in kinds and ("c", "untrained") in kinds
    assert all(0 <= row["accuracy"] <= 1 for row in run.probes)
    steps = TINY["data.textures.train"] // TINY["training.batch"] * TINY["training.epochs"]
    of_b = [row for row in run.curves if row["module"] == "b"]
    assert [row["step"] for row in of_b if "loss" in row][:steps] == list(range(steps))
    assert run.status.column("stage") and "loss" in run.curves.columns


def test_tables_of_others(run_dir):
    run = gimlet.runs(run_dir)
    pyarrow = pytest.importorskip("pyarrow")
    assert isinstance(run.probes.to_arrow(), pyarrow.Table)
    pytest.importorskip("pandas")
    assert len(run.curves.to_pandas()) == len(run.curves)


def test_there_is_no_run(tmp_path):
    with pytest.raises(gimlet.Missing, match="not the directory of a run"):
        gimlet.runs(tmp_path)


def test_datasets_of_a_run(run_dir):
    images = gimlet.dataset(run_dir / "datasets" / "ingest" / "train")
    row = images[3]
    assert row["image"].dtype == np.uint8 and row["image"].shape == (32, 32, 1)
    assert isinstance(row["source"], str)
    assert len(images.label_names) == 10
    activations = gimlet.dataset(run_dir / "datasets" / "a" / "train")
    assert activations.ids.tolist() == images.ids.tolist()
    batch = next(iter(activations.loader(batch=8, seed=1, module="b", to="numpy")))
    assert batch["activation"].shape == (8, 36, 8, 8, 16)
    # `pooled` is the mean of each patch, before the ReLU that `activation` may have.
    assert batch["pooled"].shape == (8, 6, 6, 16)


def test_the_command_is_there(tmp_path):
    ended = command("--version", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, f"gimlet {gimlet.__version__}\n")
    ended = command("inspect", cwd=tmp_path)
    assert ended.returncode == 2 and "Usage" in ended.stderr
    ended = command("run", "nothing.toml", cwd=tmp_path)
    assert ended.returncode == 2 and ended.stdout == "" and "nothing.toml" in ended.stderr


def test_the_command_goes_on_from_python(run_dir):
    """A dataset of a writer is one of gimlet's: its own command reads and checks it."""
    out = run_dir.parent.parent / "written"
    with gimlet.writer(out, split="train", settings={}, columns={"x": ("f32", (2,))}) as writing:
        writing.write([1, 2], x=np.ones((2, 2), np.float32))
    ended = command("inspect", "--json", out / "train")
    assert ended.returncode == 0, ended.stderr
    assert '"rows": 2' in json.dumps(json.loads(ended.stdout))


def test_versions_agree():
    from gimlet import _native

    assert gimlet.__version__ == _native.VERSION


def test_names_without_what_is_compiled():
    """`gimlet.Stage` has to be found where `_native` is not."""
    code = "import sys; sys.modules['gimlet._native'] = None; import gimlet; gimlet.Error; print(dir(gimlet))"
    import subprocess

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0 and "dataset" in ended.stdout, ended.stderr
