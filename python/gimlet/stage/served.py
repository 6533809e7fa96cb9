"""The module that this process holds: made, trained, evaluated, saved and restored."""

import io
import math
import random
import sys

import torch

from .refusal import NotFinite, Refusal
from .stage import Batch, Shape, Stage
from .wire import bytes_of

#: Samples of a dry run. More than one, so that a lost axis shows.
DRY = 2


def described(stage, sides, grid, arguments):
    """What a stage makes of a sample of the shape `sides`: found by a dry run, on meta tensors where it can."""
    try:
        with torch.device("meta"):
            return dry_run(stage, Shape(sides, grid), arguments, "meta")
    except Refusal:
        raise
    except Exception:
        # Not all that torch computes runs on meta tensors, and stages may look at values.
        seed(0)
        return dry_run(stage, Shape(sides, grid), arguments, "cpu")


def dry_run(stage, shape, arguments, device):
    from torch.utils.flop_counter import FlopCounterMode

    if stage.loss is Stage.loss:
        hint = "write one that returns a tensor with one number: it is what the module learns by"
        raise Refusal(f"`{stage.__name__}` has no `loss(self, x, batch)`", hint)
    module = made(stage, shape, arguments).eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        output = module(torch.zeros((DRY, *shape), device=device))
    sides = check_output(output, shape, DRY)
    weights = state_of(module)
    return {
        "output": sides,
        "weights": [{"name": name, "shape": list(it.shape)} for name, it in weights.items()],
        "parameters": sum(it.numel() for it in module.parameters()),
        "operations": counter.get_total_flops() // DRY,
        "draws_negatives": bool(module.draws_negatives),
    }


def made(stage, shape, arguments):
    """A new instance of a stage."""
    try:
        module = stage(shape, **arguments)
    except TypeError as error:
        raise_if_of_arguments(stage, arguments, error)
        raise
    if not isinstance(getattr(module, "_parameters", None), dict):
        raise Refusal(f"`{stage.__name__}.__init__` does not call `super().__init__()`", "call it first")
    return module


def raise_if_of_arguments(stage, arguments, error):
    import inspect

    try:
        inspect.signature(stage).bind((), **arguments)
    except TypeError as misfit:
        message = f"the arguments do not fit `{stage.__name__}`: {misfit}"
        hint = "`arguments` of the module are passed to `__init__` by name, behind `input_shape`"
        raise Refusal(message, hint) from error


def check_output(output, shape, batch, expected=None):
    """The shape of an output without its batch; refused unless the store can hold it."""
    wanted = f"[{batch}, {shape[0]}, height, width, channels]"
    if not isinstance(output, torch.Tensor):
        raise Refusal(f"`forward` returned a {type(output).__name__}, not a tensor {wanted}")
    sides = list(output.shape)
    if len(sides) != 5 or sides[:2] != [batch, shape[0]] or 0 in sides:
        hint = "return as many patches as `forward` reads: `x.shape[:2]` stays; `y[:, :, None, None]` adds axes"
        raise Refusal(f"`forward` returned the shape {sides}, wanted {wanted}", hint)
    if output.is_complex():
        raise Refusal(f"`forward` returned {output.dtype}, and the store holds real numbers")
    if expected is not None and sides[1:] != list(expected):
        message = f"`forward` returned the shape {sides[1:]} for a sample, and {list(expected)} in the dry run"
        raise Refusal(message, "the shape of the output may depend on the shape of the input alone")
    return sides[1:]


def state_of(module):
    """The weights and buffers of a module by name."""
    state = module.state_dict()
    for name, it in state.items():
        if not isinstance(it, torch.Tensor):
            message = f"`{name}` in the stage's `state_dict` is a {type(it).__name__}, not a tensor"
            raise Refusal(message, "keep it as a tensor with `self.register_buffer(name, tensor)`")
    return state


def seed(number):
    """Seeds all generators that a stage may use without asking."""
    torch.manual_seed(number)
    random.seed(number)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(number % 2**32)


def plain(value, strings):
    """A copy of `value` in which nothing is shared but equal strings: it is always saved as the same bytes."""
    if isinstance(value, str):
        return strings.setdefault(value, value)
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if type(value) is dict:
        return {plain(name, strings): plain(it, strings) for name, it in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(it, strings) for it in value)
    return value


class Served:
    """A module with its optimiser."""

    def __init__(self, stage, request):
        self.shape = Shape(request["shape"], request["grid"])
        self.output = request["output"]
        self.device = torch.device(request["device"])
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise Refusal(f"torch {torch.__version__} finds no CUDA device", "leave `--device` out, or install a driver")
        torch.set_num_threads(request["threads"])
        if self.device.type == "cpu":
            torch.use_deterministic_algorithms(True, warn_only=True)
        # What is drawn is drawn on the CPU, so that it is the same on every device.
        self.seed = request["seed"]
        seed(self.seed)
        self.module: Stage = made(stage, self.shape, request["arguments"]).to(self.device)
        self.module.learning_rate = request["learning_rate"]
        self.optimizer = self.scheduler = self.scaler = None

    def begin(self):
        """Makes what trains the module, unless it is there."""
        if self.optimizer is not None:
            return
        self.optimizer = self.module.optimizer()
        if not isinstance(self.optimizer, torch.optim.Optimizer):
            raise Refusal(f"`optimizer` returned a {type(self.optimizer).__name__}, not a torch.optim.Optimizer")
        self.scheduler = self.module.scheduler(self.optimizer)
        self.scaler = self.module.scaler()

    def forward(self, x, check=True):
        """What the module makes of a batch: float32, in evaluation mode, without gradients."""
        self.module.eval()
        # Where `forward` draws at random, each batch has the same draws.
        seed(self.seed)
        with torch.no_grad():
            output = self.module(x.to(self.device))
        check_output(output, self.shape, len(x), self.output)
        output = output.float().cpu()
        if check and not torch.isfinite(output).all():
            raise NotFinite("`forward` returned a number that is not finite")
        return output

    def loss(self, x, batch):
        """The loss of a batch, a tensor, and its accuracy, if it has one."""
        self.module.train(batch.training)
        found = self.module.loss(x.to(self.device), batch)
        accuracy = None
        if isinstance(found, tuple):
            if len(found) != 2:
                raise Refusal(f"`loss` returned {len(found)} values, wanted a loss, or a loss and an accuracy")
            found, accuracy = found
            accuracy = None if accuracy is None else float(accuracy)
            if accuracy is not None and not math.isfinite(accuracy):
                raise NotFinite(f"the accuracy that `loss` returned is {accuracy}")
        if not isinstance(found, torch.Tensor) or found.numel() != 1:
            what = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise Refusal(f"`loss` returned {what}, wanted a tensor with one number")
        value = float(found.detach())
        if not math.isfinite(value):
            raise NotFinite(f"the loss is {value}")
        return found, value, accuracy

    def step(self, x, batch):
        """Trains on a batch; the loss and accuracy before it."""
        self.begin()
        self.optimizer.zero_grad(set_to_none=True)
        loss, value, accuracy = self.loss(x, batch)
        if not loss.requires_grad:
            message = "the loss depends on no parameter"
            raise Refusal(message, "let `loss` compute with the module's parameters, not under `torch.no_grad()`")
        loss = loss.reshape(())
        if self.scaler is None:
            loss.backward()
            self.module.before_update()
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            self.module.before_update()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if self.scheduler is not None:
            self.scheduler.step()
        return value, accuracy

    def weights(self):
        """The weights and buffers as float32. Those of another type come out exactly, or are refused."""
        weights = []
        for name, it in state_of(self.module).items():
            it = it.detach().cpu()
            exact = it.float()
            if it.dtype != torch.float32 and not torch.equal(exact.to(it.dtype), it):
                hint = "weights are kept as float32: keep them so, or in a type that float32 holds"
                raise Refusal(f"`{name}` has numbers of type {it.dtype} that float32 does not hold", hint)
            if not torch.isfinite(exact).all():
                raise NotFinite(f"parameter `{name}` is not finite")
            # Copied, because the next step changes it in place.
            weights.append((name, exact.clone()))
        return weights

    def load(self, weights):
        """Puts other weights in place."""
        state = state_of(self.module)
        own, given = set(state), set(weights)
        if own != given:
            names = ", ".join(f"`{name}`" for name in sorted(own ^ given)[:3])
            raise Refusal(f"the stage has other weights than what was saved: {names}")
        with torch.no_grad():
            for name, it in state.items():
                if it.shape != weights[name].shape:
                    shapes = f"{list(it.shape)}, not {list(weights[name].shape)}"
                    raise Refusal(f"`{name}` has the shape {shapes} as it was saved")
        self.module.load_state_dict({name: it.to(state[name].dtype) for name, it in weights.items()})

    def trainer_state(self):
        """What training needs beside the weights, as bytes."""
        self.begin()
        parts = {"optimizer": self.optimizer, "scheduler": self.scheduler, "scaler": self.scaler}
        parts = {name: it.state_dict() for name, it in parts.items() if it is not None}
        file = io.BytesIO()
        torch.save(plain(parts, {}), file)
        return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)

    def restore(self, raw):
        """Goes on from `trainer_state`."""
        self.begin()
        file = io.BytesIO(bytes_of(raw))
        parts = torch.load(file, map_location=self.device, weights_only=True)
        for name, it in (("optimizer", self.optimizer), ("scheduler", self.scheduler), ("scaler", self.scaler)):
            if (it is None) != (name not in parts):
                raise Refusal(f"the checkpoint was written {'with' if it is None else 'without'} a {name}")
            if it is not None:
                it.load_state_dict(parts[name])

    def batch(self, request, tensors, training):
        """What `Stage.loss` gets. All generators are seeded by it, so that nothing random has state."""
        seed(request["seed"])
        generator = torch.Generator().manual_seed(request["seed"])
        labels, ids = (tensors[name].to(self.device) for name in ("labels", "ids"))
        negatives = []
        while (name := f"negatives.{len(negatives)}") in tensors:
            negatives.append(tensors[name].to(self.device))
        return Batch(labels, ids, request["step"], generator, training, negatives)
