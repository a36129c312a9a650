"""A rank's number on its own machine, which chooses its device."""

from __future__ import annotations

import torch.distributed as dist


def local_rank() -> int:
    """This rank's number among those of its machine; 0 without a process group.

    Launchers hand it over in LOCAL_RANK; torch.distributed reads that variable, so no room above has to.
    """
    return dist.get_node_local_rank(fallback_rank=0) if dist.is_available() and dist.is_initialized() else 0
