"""Answers as `python -m gimlet.stage` does, without torch: the protocol of docs/how/stage-protocol.md in plain Python.

The file of a stage is only named, for its hash; the name of its class says how it fails. A stage has
one weight for each channel, and returns the mean of each patch, times the weights.
"""

import json
import math
import os
import random
import signal
import struct
import sys

# What a test wants to be told.
VERSION = os.environ.get("PRETENDED_VERSION", "VERSION")
NO_TORCH = os.environ.get("PRETENDED_NO_TORCH")
CODES = {"f32": "f", "i64": "q", "u8": "B"}


def read():
    line = sys.stdin.buffer.readline()
    if not line:
        return None
    request = json.loads(line)
    tensors = {}
    for it in request["tensors"]:
        code, count = CODES[it["dtype"]], math.prod(it["shape"])
        raw = sys.stdin.buffer.read(count * struct.calcsize("=" + code))
        tensors[it["name"]] = (it["shape"], struct.unpack(f"<{count}{code}", raw))
    return request, tensors


def write(answer, tensors=()):
    about = [{"name": name, "dtype": dtype, "shape": shape} for name, dtype, shape, _ in tensors]
    sys.stdout.buffer.write(json.dumps({**answer, "tensors": about}).encode() + b"\n")
    for _, dtype, _, values in tensors:
        sys.stdout.buffer.write(struct.pack(f"<{len(values)}{CODES[dtype]}", *values))
    sys.stdout.buffer.flush()


class Stage:
    def __init__(self, request, name):
        self.name, self.output, self.rate = name, request["output"], request["learning_rate"]
        draws = random.Random(request["seed"])
        self.weights = [round32(draws.uniform(0.5, 1.0)) for _ in range(self.output[3])]
        self.steps = 0

    def forward(self, tensor):
        (batch, patches, height, width, channels), values = tensor
        positions = height * width
        out = []
        for patch in range(batch * patches):
            row = values[patch * positions * channels : (patch + 1) * positions * channels]
            for channel in range(channels):
                mean = sum(row[channel::channels]) / positions
                out.append(round32(mean * self.weights[channel]))
        return [batch, *self.output], out

    def loss(self, request, tensors):
        _, out = self.forward(tensors["x"])
        labels = sum(tensors["labels"][1]) + sum(tensors["ids"][1]) % 7
        noise = random.Random(request["seed"]).random()
        return sum(it * it for it in out) / len(out) + 1e-3 * labels + 1e-3 * noise

    def step(self, request, tensors):
        if self.name == "Raises" and request["step"] == 3:
            trace = 'Traceback (most recent call last):\n  File "stages.py", line 1, in loss\nValueError: not today'
            return {"error": "ValueError: not today", "traceback": trace}, []
        if self.name == "Nan" and request["step"] == 3:
            return {"error": "the loss is nan", "not_finite": True}, []
        if self.name == "Dies" and request["step"] == 3:
            print("these are my last words", file=sys.stderr, flush=True)
            os._exit(7)
        if self.name == "Killed" and request["step"] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "Garbage" and request["step"] == 3:
            print("this is no answer", flush=True)
        maps = self.maps(tensors) if request["maps"] else []
        loss = self.loss(request, tensors)
        draws = random.Random(request["seed"] + self.steps)
        self.weights = [round32(it - self.rate * (it + draws.random())) for it in self.weights]
        self.steps += 1
        return {"loss": loss, "accuracy": 0.5}, maps

    def maps(self, tensors):
        shape, out = self.forward(tensors["x"])
        return [("maps", "f32", shape, out)]


def round32(number):
    return struct.unpack("<f", struct.pack("<f", number))[0]


def main():
    stage = name = None
    while (asked := read()) is not None:
        request, tensors = asked
        does = request["do"]
        if does == "hello":
            answer = {"protocol": 1, "gimlet": VERSION, "torch": "none", "torch_file": os.path.abspath(__file__)}
            write({**answer, "no_torch": NO_TORCH} if NO_TORCH else answer)
        elif does == "load":
            name = request["class"]
            write({"files": [os.path.realpath(request["file"])]})
        elif does == "describe":
            patches, _, _, channels = request["shape"]
            weights = [{"name": "scale", "shape": [channels]}]
            answer = {"output": [patches, 1, 1, channels], "weights": weights, "parameters": channels}
            write({**answer, "operations": 2 * patches * channels, "draws_negatives": False})
        elif does == "open":
            stage = Stage(request, name)
            write({})
        elif does == "weights":
            write({}, [("scale", "f32", [len(stage.weights)], stage.weights)])
        elif does == "load_weights":
            stage.weights = list(tensors["scale"][1])
            write({})
        elif does == "state":
            trainer = json.dumps({"steps": stage.steps}).encode()
            scale = ("weights.scale", "f32", [len(stage.weights)], stage.weights)
            write({}, [("trainer", "u8", [len(trainer)], trainer), scale])
        elif does == "restore":
            stage.steps = json.loads(bytes(tensors["trainer"][1]))["steps"]
            write({})
        elif does == "step":
            answer, given = stage.step(request, tensors)
            write(answer, given)
        elif does == "loss":
            maps = stage.maps(tensors) if request["maps"] else []
            write({"loss": stage.loss(request, tensors), "accuracy": 0.5}, maps)
        elif does == "forward":
            write({}, stage.maps(tensors))
        else:
            write({"error": f"there is no `{does}`"})


main()
