"""InfoNCE between patches, as gimlet's own loss `infonce` computes it."""

import math

import torch
from torch import nn


class InfoNCE(nn.Module):
    """Each patch predicts those in the rows below it, against negatives from the whole batch.

    `forward` takes pooled vectors `[batch, rows, columns, channels]` and `Batch.negatives`, and returns the loss and
    the share of predictions that were right. Set `draws_negatives = True` in the stage that uses it.
    """

    def __init__(self, channels, prediction_steps=5, skip=1):
        super().__init__()
        self.skip = skip
        bound = 1 / math.sqrt(channels)
        weights = [torch.empty(channels, channels).uniform_(-bound, bound) for _ in range(prediction_steps)]
        self.predictors = nn.ParameterList([nn.Parameter(weight) for weight in weights])

    def forward(self, pooled, negatives):
        losses, right = [], 0.0
        if len(negatives) != len(self.predictors):
            raise ValueError(f"{len(self.predictors)} predictors and {len(negatives)} lists of negatives do not fit")
        for place, (predictor, wrong) in enumerate(zip(self.predictors, negatives)):
            below = place + 1 + self.skip
            context = pooled[:, :-below].flatten(0, 2)
            targets = pooled[:, below:].flatten(0, 2) @ predictor
            wrong = wrong.view(len(context), -1)
            positive = (context * targets).sum(1, keepdim=True)
            # The smaller of two ways: all products, or the rows that are needed.
            if len(targets) <= wrong.shape[1] * context.shape[1]:
                others = (context @ targets.T).gather(1, wrong)
            else:
                others = (targets[wrong] * context[:, None]).sum(2)
            scores = torch.cat([positive, others], 1)
            losses.append(-torch.log_softmax(scores, 1)[:, 0].mean())
            right += (positive > others.max(1, keepdim=True).values).float().mean().item()
        return torch.stack(losses).mean(), right / len(losses)
