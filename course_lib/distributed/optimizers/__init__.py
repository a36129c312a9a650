"""Optimizers for large batches, beside those of torch.optim: LAMB, LARS and Lion."""

from course_lib.distributed.optimizers.gradients import NonFiniteGradientError
from course_lib.distributed.optimizers.groups import decay_groups
from course_lib.distributed.optimizers.lamb import Lamb
from course_lib.distributed.optimizers.lars import Lars
from course_lib.distributed.optimizers.lion import Lion

__all__ = ["Lamb", "Lars", "Lion", "NonFiniteGradientError", "decay_groups"]
