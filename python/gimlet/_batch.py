"""Some rows of a dataset, and their way to NumPy and to torch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .errors import Usage


class Batch(dict):
    """Rows by column: arrays whose first dimension counts the rows, and lists of texts."""

    def torch(self, pin_memory: bool = False) -> Batch:
        """The same rows as tensors of torch, on the same memory. With `pin_memory` they are copied to memory from which
        a GPU reads faster.

        Raises `Usage` where torch is not installed, and for `pin_memory` where torch has no GPU.
        """
        torch = import_torch()
        tensors = Batch()
        for name, values in self.items():
            if isinstance(values, (np.ndarray, np.generic)):
                # A number of its own is no array yet.
                values = torch.from_numpy(np.asarray(values))
                if pin_memory:
                    values = pinned(torch, values)
            tensors[name] = values
        return tensors

    def rows(self) -> list[Batch]:
        """Each row alone, without the dimension that counts rows."""
        count = len(next(iter(self.values()), ()))
        return [Batch((name, values[row]) for name, values in self.items()) for row in range(count)]


def import_torch() -> Any:
    """torch, or `Usage`."""
    try:
        import torch
    except ImportError as error:
        raise Usage("torch is not installed", "`pip install torch`, or read NumPy's arrays") from error
    return torch


def has_torch() -> bool:
    """Whether torch can be imported; imports nothing."""
    if "torch" in sys.modules:
        return sys.modules["torch"] is not None
    from importlib.util import find_spec

    return find_spec("torch") is not None


def pinned(torch: Any, tensor: Any) -> Any:
    if not torch.cuda.is_available():
        raise Usage("memory is pinned for a GPU, and torch finds none", "leave `pin_memory` out")
    return tensor.pin_memory()


def given(values: Any) -> np.ndarray:
    """What a caller gives, as an array whose values lie side by side. Tensors of torch on another device are copied
    from there; bfloat16, which NumPy does not have, is widened to float32, which is exact.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:
            values = values.float()
        values = values.numpy()
    values = np.asarray(values)
    return np.require(values, values.dtype.newbyteorder("="), ["C", "ALIGNED"])


def whole_numbers(values: Any, what: str) -> np.ndarray:
    """What a caller gives as an array of 64-bit whole numbers."""
    values = given(values)
    if values.size == 0:
        return values.astype(np.int64)
    if values.dtype.kind not in "iub" or (values.dtype == np.uint64 and values.max() >= 1 << 63):
        raise Usage(f"{what} are whole numbers of 64 bits, not `{values.dtype}`", "convert them first")
    return values.astype(np.int64)
