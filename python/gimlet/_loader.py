"""Batches of a dataset in the order of a training, read ahead by threads of ours."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from . import _native
from ._batch import Batch, has_torch, import_torch
from ._dataset import Dataset
from .errors import Usage

#: The version of `state_dict`.
_STATE = 1


class Loader:
    """The batches of an epoch, then of the next: `for batch in loader` ends with its epoch.

    The order of rows is that of a training of gimlet under the same `seed` in the same `epoch` (from 0) of the module
    called `module`: each module has an order of its own, and so has the empty name. A module's training leaves out the
    rows that fill no batch; `drop_last=True` does so too. Where samples have several frozen views, an epoch has one of
    each; `views` is how many there are.

    `start` is the number of rows of the epoch that are left out at its beginning. A loop that is left early goes on
    after the last batch that it was given, in the next loop or, by `state_dict`, in another process.

    `columns` and `dtype` are as in `Dataset`. Batches are of torch, or of NumPy where that is not installed; `to` names
    one of them ("torch", "numpy"). `threads` threads of Rust read without the interpreter's lock, at most `memory`
    bytes ahead, but always one batch. A batch's memory is filled again once no array and no tensor refers to it: copy
    what has to stay if memory is short.

    Raises `Usage` for wrong settings; the loop raises `Damaged` where a row does not read back as it was written.
    """

    def __init__(
        self,
        data: Dataset,
        batch: int,
        *,
        seed: int = 0,
        epoch: int = 0,
        start: int = 0,
        columns: Iterable[str] | None = None,
        dtype: str | None = None,
        module: str = "",
        views: int | None = None,
        drop_last: bool = False,
        threads: int = 2,
        memory: int = 256_000_000,
        to: str | None = None,
        pin_memory: bool = False,
    ) -> None:
        if to not in (None, "torch", "numpy"):
            raise Usage(f"`to={to!r}` is not known", 'use `"torch"` or `"numpy"`')
        for name, value, least in (
            ("batch", batch, 1),
            ("seed", seed, 0),
            ("epoch", epoch, 0),
            ("start", start, 0),
            ("threads", threads, 1),
            ("memory", memory, 0),
        ):
            if not isinstance(value, (int, np.integer)) or not least <= value < 1 << 63:
                raise Usage(f"`{name}={value!r}` is no whole number of {least} or more", "give one")
        if to == "torch":
            import_torch()
        self._to = to or ("torch" if has_torch() else "numpy")
        if pin_memory and self._to != "torch":
            raise Usage("only tensors of torch are pinned", "leave `pin_memory` out, or `pip install torch`")
        self._data = data
        self._reading = data.reading(columns, dtype, has_bfloat16=self._to == "torch")
        self._views = views_of(data) if views is None else views
        self._settings = (batch, seed, module, self._views, threads, memory)
        self._batch, self._seed, self._module = batch, seed, module
        self._drop_last, self._pin_memory = drop_last, pin_memory
        self._handle: _native.Loader | None = None
        self._of_process = os.getpid()
        self._waited = 0.0
        self._samples = self._native().samples
        self._epoch, self._start = epoch, start
        self._check_start(start)
        self._settle()

    def _native(self) -> _native.Loader:
        # Threads do not survive a fork, so a child begins with a handle of its own.
        if self._handle is None or self._of_process != os.getpid():
            self._handle = _native.Loader(self._data._open(), self._reading.tensors, *self._settings)
            self._of_process = os.getpid()
        return self._handle

    def _check_start(self, start: int) -> None:
        if start > self._samples:
            what = f"`start={start}` is beyond the {self._samples} rows of an epoch"
            raise Usage(what, "leave it out to begin with the first row")

    def _settle(self) -> None:
        """At the end of an epoch, the next row is the first of the epoch after it."""
        left = self._samples - self._start
        if left <= 0 or (self._drop_last and left < self._batch):
            if self._start > 0:
                self._epoch, self._start = self._epoch + 1, 0

    @property
    def epoch(self) -> int:
        """The epoch of the next row, from 0."""
        return self._epoch

    @property
    def start(self) -> int:
        """The rows of that epoch before the next row."""
        return self._start

    @property
    def waited(self) -> float:
        """Seconds that loops have waited for rows."""
        return self._waited

    def __len__(self) -> int:
        """Batches of an epoch from its first row on."""
        return self._samples // self._batch if self._drop_last else -(-self._samples // self._batch)

    def order(self, epoch: int) -> np.ndarray:
        """The rows of an epoch, in their order."""
        return np.asarray(self._native().order(epoch))

    def __iter__(self) -> Iterator[Batch]:
        stream = self._native().stream(self._epoch, self._start, not self._drop_last)
        waited = self._waited
        try:
            while (read := stream.next()) is not None:
                self._waited = waited + stream.waited
                rows, tensors = np.asarray(read[0]), read[1]
                batch = self._data.batch(self._reading, rows, tensors)
                # Held here, a batch could not be filled again before the one after it is there.
                del read, tensors
                self._start += len(rows)
                self._settle()
                if self._to == "torch":
                    batch = self._tensors(batch)
                yield batch
                del batch
        finally:
            stream.close()

    def _tensors(self, batch: Batch) -> Batch:
        bits = self._reading.bfloat16
        for name in bits:
            batch[name] = batch[name].view(np.int16)
        tensors = batch.torch(self._pin_memory)
        for name in bits:
            tensors[name] = tensors[name].view(import_torch().bfloat16)
        return tensors

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is: after the last batch that a loop was given."""
        return {
            "version": _STATE,
            "key": self._data.key,
            "seed": self._seed,
            "module": self._module,
            "views": self._views,
            "epoch": self._epoch,
            "start": self._start,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where another loader was: the next batch begins with the row after its last one. The size of batches
        may be another.

        Raises `Usage` where the state is of other rows, or of another order of them.
        """
        own = self.state_dict()
        if set(state) != set(own) or state["version"] != _STATE:
            raise Usage("this is no state of a loader of this version", "give what `state_dict()` returned")
        for name in ("key", "seed", "module", "views"):
            if state[name] != own[name]:
                what = f"the state is of `{name}` {state[name]!r}, and the loader of {own[name]!r}"
                raise Usage(what, "make the loader of the same dataset, with the same settings")
        self._check_start(state["start"])
        self._epoch, self._start = state["epoch"], state["start"]
        self._settle()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}


def views_of(data: Dataset) -> int:
    """How many frozen views each sample has in a dataset."""
    if "view" not in data.schema:
        return 1
    return max(1, len(np.unique(data._key("view"))))
