"""Which parameters decay: matrices do, biases and norms do not."""

from __future__ import annotations

from typing import Any

from torch import nn

from course_lib.distributed.errors import check_not_negative


def decay_groups(model: nn.Module, weight_decay: float, **vectors: Any) -> list[dict[str, Any]]:
    """Two parameter groups: tensors of two dimensions and more with weight decay, the others without.

    Args:
        model: whose trainable parameters are taken, each once (tied ones too), with their names.
        weight_decay: of the first group.
        vectors: further settings of the second group, such as adapt=False, which spares biases and norms LAMB's and
            LARS's layerwise step size as their authors do.

    Returns:
        Groups for an optimizer's first argument; an empty group is left out.

    Raises:
        TrainingSetupError: for a weight decay below 0.

    Source: Devlin et al. 2018 (arXiv:1810.04805), the released optimizer's exclusions; You et al. 2019
        (arXiv:1904.00962).
    """
    check_not_negative("weight_decay", weight_decay)
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [(name, p) for name, p in trainable if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [(name, p) for name, p in trainable if p.dim() < 2], "weight_decay": 0.0, **vectors},
    ]
    return [group for group in groups if group["params"]]
