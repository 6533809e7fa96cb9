"""Messages between `gimlet` and this process: one line of JSON, then the bytes of the tensors that it names.

`docs/reference/stage-protocol.md` has the whole protocol.
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
        length = math.prod(shape) * dtype.itemsize
        if not length:
            return torch.empty(shape, dtype=dtype)
        raw, read = bytearray(length), 0
        view = memoryview(raw)
        while read < length:
            more = self.requests.readinto(view[read:])
            if not more:
                raise EOFError("the request ends within a tensor")
            read += more
        return torch.frombuffer(raw, dtype=dtype).view(shape)

    def write(self, answer, tensors=()):
        """Sends an answer, and `tensors`, pairs of a name and a tensor."""
        tensors = [(name, it.detach().to("cpu").contiguous()) for name, it in tensors]
        about = [{"name": n, "dtype": NAMES[it.dtype], "shape": list(it.shape)} for n, it in tensors]
        line = json.dumps({**answer, "tensors": about}, allow_nan=False)
        self.answers.write(line.encode() + b"\n")
        for _, it in tensors:
            length = it.numel() * it.element_size()
            if length:
                self.answers.write((ctypes.c_char * length).from_address(it.data_ptr()))
        self.answers.flush()
