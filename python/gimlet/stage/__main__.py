"""`python -m gimlet.stage`: holds one module for `gimlet`, answers its requests, and ends when its stdin does."""

import os
import platform
import signal
import sys
import traceback

from .refusal import NotFinite, Refusal
from .version import PROTOCOL, VERSION


def main():
    # Ctrl-C reaches the whole group: `gimlet` decides when to stop, and closes stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a stage prints must not come between answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout.flush()
    sys.stdout = sys.stderr
    try:
        import torch
    except ImportError as error:
        import json

        sys.stdin.buffer.readline()
        hello = {"protocol": PROTOCOL, "gimlet": VERSION, "python": platform.python_version(), "no_torch": str(error)}
        answers.write(json.dumps({**hello, "tensors": []}).encode() + b"\n")
        answers.flush()
        return
    from .wire import Wire

    wire = Wire(os.fdopen(os.dup(0), "rb"), answers)
    holder = Holder(torch)
    while (asked := wire.read()) is not None:
        request, tensors = asked
        try:
            answer, given = holder.answer(request, tensors)
        except Refusal as refusal:
            answer, given = {"error": refusal.message, "hint": refusal.hint}, []
            answer["not_finite"] = isinstance(refusal, NotFinite)
        except BaseException as error:  # noqa: BLE001, whatever a stage raises goes to `gimlet`
            last = traceback.format_exception_only(type(error), error)[-1].strip()
            answer, given = {"error": last, "traceback": own_part(error)}, []
        wire.write(answer, given)
    sys.stderr.flush()
    # A thread that a stage has started does not keep the process.
    os._exit(0)


def own_part(error):
    """The traceback from the first line outside this package on."""
    here = os.path.dirname(os.path.abspath(__file__))
    part = error.__traceback__
    while part is not None and os.path.dirname(os.path.abspath(part.tb_frame.f_code.co_filename)) == here:
        part = part.tb_next
    return "".join(traceback.format_exception(type(error), error, part or error.__traceback__))


class Holder:
    """Answers requests, one after the other."""

    def __init__(self, torch):
        self.torch = torch
        self.stage = self.served = None

    def answer(self, request, tensors):
        """The answer to a request, and tensors by name."""
        return getattr(self, "do_" + request["do"])(request, tensors)

    def do_hello(self, _request, _tensors):
        torch = self.torch
        answer = {"protocol": PROTOCOL, "gimlet": VERSION, "python": platform.python_version()}
        return {**answer, "torch": torch.__version__, "torch_file": torch.version.__file__}, []

    def do_load(self, request, _tensors):
        from .loading import load, sources

        self.stage = load(request["file"], request["class"], request["folder"])
        return {"files": sources(request["folder"])}, []

    def do_describe(self, request, _tensors):
        from .served import described

        return described(self.stage, request["shape"], request["grid"], request["arguments"]), []

    def do_open(self, request, _tensors):
        from .served import Served

        self.served = Served(self.stage, request)
        return {}, []

    def do_weights(self, _request, _tensors):
        return {}, self.served.weights()

    def do_load_weights(self, _request, tensors):
        self.served.load(tensors)
        return {}, []

    def do_state(self, _request, _tensors):
        state = [("trainer", self.served.trainer_state())]
        return {}, state + [("weights." + name, it) for name, it in self.served.weights()]

    def do_restore(self, _request, tensors):
        self.served.restore(tensors["trainer"])
        return {}, []

    def do_step(self, request, tensors):
        maps = []
        if request["maps"]:
            maps = [("maps", self.served.forward(tensors["x"]))]
        batch = self.served.batch(request, tensors, True)
        loss, accuracy = self.served.step(tensors["x"], batch)
        return {"loss": loss, "accuracy": accuracy}, maps

    def do_loss(self, request, tensors):
        maps = []
        if request["maps"]:
            maps = [("maps", self.served.forward(tensors["x"]))]
        with self.torch.no_grad():
            _, loss, accuracy = self.served.loss(tensors["x"], self.served.batch(request, tensors, False))
        return {"loss": loss, "accuracy": accuracy}, maps

    def do_forward(self, _request, tensors):
        return {}, [("maps", self.served.forward(tensors["x"]))]


if __name__ == "__main__":
    main()
