"""PyTorch's side of the comparison: the same layers, weights, batch, negatives and loss, a step for
each line on standard input.

    torch_side.py CASE.safetensors (plain | best | published) THREADS

plain      as PyTorch comes.
best       channels-last; the caller also sets an allocator that keeps memory.
published  as plain, and what the module reads is computed anew at every step, by the modules below it,
           with a graph that is then cut off by `detach`, as the published code does.

Answers with a line of JSON: seconds, loss (of the batch, before the update) and the peak of the resident
memory so far, in bytes. The network and the loss are written from the method's description: Löwe et al.
2019; van den Oord et al. 2018, equation 4.
"""

import json
import resource
import sys
import time

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """A pre-activation residual block without batch norm: basic with two kernels, bottleneck with three."""

    def __init__(self, convolutions, shortcut):
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.shortcut = shortcut

    def forward(self, x):
        r = F.relu(x)
        y = r
        for index, convolution in enumerate(self.convolutions):
            y = convolution(F.relu(y) if index else y)
        return y + (x if self.shortcut is None else self.shortcut(r))


class Case:
    def __init__(self, path):
        with safe_open(path, "pt") as file:
            self.about = json.loads(file.metadata()["case"])
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}

    def convolution(self, name, stride, padding):
        weight = self.tensors[name + ".weight"]
        if weight.dim() == 4:
            weight, kind = weight.permute(3, 2, 0, 1), nn.Conv2d
        else:
            weight, kind = weight.permute(2, 1, 0), nn.Conv1d
        made = kind(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), stride, padding)
        with torch.no_grad():
            made.weight.copy_(weight)
            made.bias.copy_(self.tensors[name + ".bias"])
        return made

    def encoder(self, layers, prefix):
        made = []
        for index, layer in enumerate(layers):
            (kind, of), name = next(iter(layer.items())), f"{prefix}.{index}"
            if kind == "conv":
                made.append(self.convolution(name, of["stride"], of["padding"]))
            elif kind == "conv1d":
                made += [self.convolution(name, of["stride"], of["padding"]), nn.ReLU()]
            else:
                strides = {"basic": [of["stride"], 1], "bottleneck": [1, of["stride"], 1]}[kind]
                paddings = {"basic": [1, 1], "bottleneck": [0, 1, 0]}[kind]
                parts = [
                    self.convolution(f"{name}.conv{i + 1}", stride, padding)
                    for i, (stride, padding) in enumerate(zip(strides, paddings))
                ]
                shortcut = None
                if f"{name}.shortcut.weight" in self.tensors:
                    shortcut = self.convolution(f"{name}.shortcut", of["stride"], 0)
                made.append(Block(parts, shortcut))
        return nn.Sequential(*made)


def info_nce(z, predictors, negatives, grid, skip):
    """z [batch, grid, grid, channels]; negatives[k] [positions, N], numbered (batch, row, column)."""
    channels, total = z.shape[-1], 0.0
    for k, (predictor, numbers) in enumerate(zip(predictors, negatives), start=1):
        rows = grid - k - skip
        context = z[:, :rows].reshape(-1, channels)
        targets = z[:, k + skip :].reshape(-1, channels) @ predictor
        positive = (context * targets).sum(1, keepdim=True)
        negative = torch.bmm(targets[numbers], context.unsqueeze(2)).squeeze(2)
        scores = torch.cat([positive, negative], 1)
        total = total - torch.log_softmax(scores, 1)[:, 0].mean()
    return total / len(predictors)


def main():
    path, flavour, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    case = Case(path)
    about = case.about
    encoder = case.encoder(about["layers"], "encoder")
    below = [
        case.encoder(layers, f"below.{index}")
        for index, layers in enumerate(about["below"] if flavour == "published" else [])
    ]
    x = case.tensors["images" if flavour == "published" else "input"]
    # Channels-last, as the file has them, to PyTorch's order of axes.
    x = x.permute(0, 3, 1, 2) if x.dim() == 4 else x.permute(0, 2, 1)
    if flavour == "best" and x.dim() == 4:
        encoder = encoder.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    else:
        x = x.contiguous()
    predictors = nn.ParameterList()
    negatives = []
    while f"loss.predictor.{len(predictors)}" in case.tensors:
        index = len(predictors)
        predictors.append(nn.Parameter(case.tensors[f"loss.predictor.{index}"].clone()))
        negatives.append(case.tensors[f"negatives.{index}"].long())
    parameters = [*encoder.parameters(), *predictors]
    optimiser = torch.optim.Adam(parameters, lr=about["learning_rate"])

    def step():
        read = x
        for module in below:
            read = module(read).detach()
        maps = encoder(read)
        if predictors:
            z = maps.mean((2, 3)).reshape(-1, about["grid"], about["grid"], maps.shape[1])
            loss = info_nce(z, predictors, negatives, about["grid"], about["skip"])
        else:
            loss = maps.mean(2).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    for _ in sys.stdin:
        started = time.perf_counter()
        loss = step()
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": seconds, "loss": loss, "peak": peak}), flush=True)


if len(sys.argv) > 1 and sys.argv[1] == "version":
    print(torch.__version__)
else:
    main()
