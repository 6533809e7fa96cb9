"""What a module of a pipeline is in PyTorch."""

from dataclasses import dataclass, field
from typing import List, Optional

import torch


class Shape(tuple):
    """The shape of what a module reads of one sample: `(patches, height, width, channels)`."""

    def __new__(cls, sides, grid):
        shape = super().__new__(cls, sides)
        shape.grid = tuple(grid)
        return shape

    @property
    def patches(self):
        """The number of patches of a sample; 1 of sound."""
        return self[0]

    @property
    def channels(self):
        """The number of channels of each position."""
        return self[3]


@dataclass
class Batch:
    """What `Stage.loss` gets of a batch beside the activations."""

    #: The class of each sample, `[batch]` of int64; -1 where a sample has none.
    labels: torch.Tensor
    #: The stable id of each sample, `[batch]` of int64.
    ids: torch.Tensor
    #: The number of the training step, from 0; of the batch, where the loss on the test split is computed.
    step: int
    #: A generator on the CPU, seeded from the pipeline's seed, the module's name and the step.
    generator: torch.Generator
    #: Whether weights will change by this loss. It is False on the test split.
    training: bool = True
    #: What the pipeline's own loss draws for this batch, where `Stage.draws_negatives` is True: for each prediction
    #: step the numbers of the negatives of each position, `[positions * negatives]` of int64.
    negatives: List[torch.Tensor] = field(default_factory=list)


class Stage(torch.nn.Module):
    """A module of a pipeline. Override `forward` and `loss`; call `super().__init__()` first in `__init__`.

    A module reads `x`, `[batch, patches, height, width, channels]` of float32: the rows of the store, channels last.
    `input_shape` is a `Shape` without the batch. What `forward` returns is stored for the next module, and has the
    same number of patches.
    """

    #: Whether `Batch.negatives` holds the negatives that the pipeline's loss draws.
    draws_negatives = False

    #: The learning rate of the module in the pipeline, which is set before `optimizer` is called.
    learning_rate = 1e-3

    def __init__(self, *_input_shape, **_arguments):
        super().__init__()

    def loss(self, x, batch):
        """The local loss of a batch, a scalar tensor; or a pair of that and an accuracy from 0 to 1."""
        raise NotImplementedError(f"{type(self).__name__} has no `loss(self, x, batch)`")

    def optimizer(self):
        """The optimiser of all parameters."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def scheduler(self, optimizer) -> Optional[torch.optim.lr_scheduler.LRScheduler]:
        """What changes the learning rate after every step, if anything."""
        return None

    def scaler(self):
        """A `torch.amp.GradScaler`, if gradients are scaled."""
        return None

    def before_update(self):
        """Called when the gradients are there, before the optimiser: the place to clip them."""
