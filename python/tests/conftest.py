"""Datasets and runs that tests read. All are made here; nothing is fetched."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gimlet

#: Where the pipelines and the docs are. Continuous integration runs these tests away from the sources.
REPOSITORY = Path(os.environ.get("GIMLET_REPOSITORY", Path(__file__).parents[2]))

QUICKSTART = REPOSITORY / "pipelines" / "quickstart.toml"

#: Textures that train in seconds.
TINY = {
    "data.textures.train": 48,
    "data.textures.test": 24,
    "training.epochs": 2,
    "training.batch": 16,
}


def values(rows, shape=(3, 4), seed=0):
    """Numbers that float16 holds, so that they come back as they are."""
    drawn = np.random.default_rng(seed).normal(size=(rows, *shape))
    return drawn.astype(np.float16).astype(np.float32)


def write(path, rows=20, *, settings=None, dtype="f16", **more):
    """Writes rows `0..rows` with ids `100..`, labels `0, 1, 2, 0, ...`, and returns their values."""
    y = values(rows)
    with gimlet.writer(
        path, settings=settings or {"made": 1}, columns={"activation": (dtype, (3, 4))}, **more
    ) as out:
        out.write(np.arange(rows) + 100, activation=y, label=np.arange(rows) % 3)
    return y


@pytest.fixture
def made(tmp_path):
    """The path of a dataset of 20 rows, and their values."""
    path = tmp_path / "a" / "train"
    return path, write(path)


def command(*words, cwd=None, **more):
    """The command `gimlet` of this package, run to its end."""
    words = [sys.executable, "-m", "gimlet", *map(str, words)]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=600, **more)


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    """The directory of a small run of the quickstart."""
    folder = tmp_path_factory.mktemp("run")
    sets = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    ended = command("run", os.fspath(QUICKSTART), "--run-dir", "runs/quickstart", "--quiet", *sets, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "runs" / "quickstart"
