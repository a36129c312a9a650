"""All losses that a config asks for, as one term."""

from __future__ import annotations

from torch import Tensor

from course_lib.moe.balance.logit_losses import importance_loss, load_loss, z_loss
from course_lib.moe.balance.losses import Mean, load_balance_loss, this_rank
from course_lib.moe.config import MoEConfig
from course_lib.moe.routing import Routing


def auxiliary_loss(routing: Routing, config: MoEConfig, mean: Mean = this_rank) -> Tensor | None:
    """The losses that a config asks for, each times its coefficient; None when it asks for none.

    Args:
        routing: of one layer, before capacity drops anything: a loss that counts only who was let in would call a full
            expert balanced.
        config: of the layer. `balance_loss` is a coefficient of the "switch" convention (minimum 1). `importance_loss`
            is the coefficient of the importance and, where a router expects a load, of the load loss too.
        mean: a detached tensor → its mean over the data-parallel ranks; used with balance_scope="global".

    Returns:
        A scalar, or None.

    Source: Shazeer et al. 2017 (arXiv:1701.06538) section 4 for one coefficient for importance and load.
    """
    terms = []
    if config.balance_loss:
        over = mean if config.balance_scope == "global" else this_rank
        terms.append(config.balance_loss * load_balance_loss(routing, over))
    if config.z_loss:
        terms.append(config.z_loss * z_loss(routing))
    if config.importance_loss:
        terms.append(config.importance_loss * importance_loss(routing))
        if routing.expected_load is not None:
            terms.append(config.importance_loss * load_loss(routing))
    return sum(terms[1:], terms[0]) if terms else None
