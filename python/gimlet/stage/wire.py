"""Messages between `gimlet` and this process: one line of JSON, then the bytes of the tensors that it names.

`docs/how/stage-protocol.md` has the whole protocol.
"""

import ctypes
import json
import math

import torch

DTYPES = {"f32": torch.float32, "i64": torch.int64, "u8": torch.uint8}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Wire:
    """Both ends of the connection: requests come on one file, answers go out on the other."""

    def __init__(self, requests, answers):
        self.requests, self.answers = requests, answers

    def read(self):
        """The next request and its tensors by name; `None` when `gimlet` has closed its end."""
        line = self.requests.readline()
        if not line:
            return None
        request = json.loads(line)
        tensors = {}
        for it in request.pop("tensors", []):
            tensors[it["name"]] = self._tensor(DTYPES[it["dtype"]], it["shape"])
        return request, tensors

    def _tensor(self, dtype, shape):
        # Memory of torch is aligned in one way, on which the last bits of a product may depend.
        tensor = torch.empty(shape, dtype=dtype)
        length, read = math.prod(shape) * dtype.itemsize, 0
        view = bytes_of(tensor)
        while read < length:
            more = self.requests.readinto(view[read:])
            if not more:
                raise EOFError("the request ends within a tensor")
            read += more
        return tensor

    def write(self, answer, tensors=()):
        """Sends an answer, and `tensors`, pairs of a name and a tensor."""
        tensors = [(name, it.detach().to("cpu").contiguous()) for name, it in tensors]
        about = [{"name": n, "dtype": NAMES[it.dtype], "shape": list(it.shape)} for n, it in tensors]
        line = json.dumps({**answer, "tensors": about}, allow_nan=False)
        self.answers.write(line.encode() + b"\n")
        for _, it in tensors:
            self.answers.write(bytes_of(it))
        self.answers.flush()


def bytes_of(tensor):
    """The memory of a contiguous tensor."""
    length = tensor.numel() * tensor.element_size()
    if not length:
        return memoryview(bytearray())
    return memoryview((ctypes.c_char * length).from_address(tensor.data_ptr())).cast("B")
