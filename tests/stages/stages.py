"""Stages of the tests. `tests/stages/pretended.py` has one of each name, too."""

import os
import signal

import torch
from torch import nn

import gimlet


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
