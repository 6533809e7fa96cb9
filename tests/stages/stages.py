"""Stages of the tests. `tests/stages/pretended.py` has one of each name, too."""

import json
import os
import signal

import torch
from torch import nn

import gimlet
import gimlet.stage


class Scale(gimlet.Stage):
    """A small block: attention between patches, dropout, batch norm, and noise from the generator of the batch."""

    def __init__(self, input_shape, dim=6):
        super().__init__()
        self.project = nn.Linear(input_shape.channels, dim)
        self.norm = nn.BatchNorm1d(dim)
        self.attention = nn.MultiheadAttention(dim, 2, dropout=0.1, batch_first=True)
        self.classes = nn.Linear(dim, 3)

    def forward(self, x):
        y = self.project(x.mean((2, 3)))
        y = self.norm(y.transpose(1, 2)).transpose(1, 2)
        y = y + self.attention(y, y, y)[0]
        return y[:, :, None, None]

    def loss(self, x, batch):
        y = self(x).mean((1, 2, 3))
        noise = torch.randn(y.shape, generator=batch.generator)
        scores = self.classes(nn.functional.dropout(y + 0.01 * noise, 0.1, self.training))
        loss = nn.functional.cross_entropy(scores, batch.labels)
        return loss, (scores.argmax(1) == batch.labels).float().mean()


class Raises(Scale):
    def loss(self, x, batch):
        if batch.step == 3:
            raise ValueError("not today")
        return super().loss(x, batch)


class Nan(Scale):
    def loss(self, x, batch):
        loss, _ = super().loss(x, batch)
        return loss * float("nan") if batch.step == 3 else loss


class Dies(Scale):
    def loss(self, x, batch):
        if batch.step == 3:
            os.write(2, b"these are my last words\n")
            os._exit(7)
        return super().loss(x, batch)


class Killed(Scale):
    def loss(self, x, batch):
        if batch.step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(x, batch)


class Prints(Scale):
    def forward(self, x):
        print("printed by forward")
        os.write(1, b"written to stdout\n")
        return super().forward(x)


class OtherShape(Scale):
    def forward(self, x):
        y = super().forward(x)
        return y if len(x) == 2 else y[..., :-1]


class LosesPatches(Scale):
    def forward(self, x):
        return super().forward(x)[:, 0]


class NanMaps(Scale):
    def forward(self, x):
        return super().forward(x) / 0.0 if not self.training and len(x) > 2 else super().forward(x)


class NoLoss(gimlet.Stage):
    def __init__(self, input_shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(input_shape.channels))

    def forward(self, x):
        return x * self.weight


class NotAStage(nn.Module):
    pass


class Ours(gimlet.Stage):
    """Two convolutions under InfoNCE, as gimlet has them, from the weights of a JSON file."""

    draws_negatives = True

    def __init__(self, input_shape, initial, skip=1):
        super().__init__()
        self.grid = input_shape.grid
        with open(initial) as file:
            given = json.load(file)
        self.first = nn.Conv2d(input_shape.channels, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 8, 3, padding=1)
        self.negatives = gimlet.stage.InfoNCE(8, prediction_steps=1, skip=skip)
        for name, parameter in self.named_parameters():
            values = torch.tensor(given[name])
            # Ours lie as [kernel, kernel, channels, out_channels].
            values = values.permute(3, 2, 0, 1) if values.dim() == 4 else values
            with torch.no_grad():
                parameter.copy_(values)

    def forward(self, x):
        y = x.flatten(0, 1).permute(0, 3, 1, 2)
        y = self.second(torch.relu(self.first(y)))
        return y.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])

    def loss(self, x, batch):
        pooled = self(x).mean((2, 3)).unflatten(1, tuple(self.grid))
        return self.negatives(pooled, batch.negatives)
