"""A small real training run that leaves on an interruption notice: the child process of test_interrupted_training.

Usage: python spot_training.py METADATA_URL CHECKPOINT STEPS PAUSE_SECONDS
"""

import os
import sys
import time
from pathlib import Path

import torch
from torch import nn

from course_lib.finops.spot import (
    REQUEUE_EXIT_CODE,
    MetadataClient,
    NoticeWatcher,
    run_until_notice,
)


def main(url: str, checkpoint: str, steps: int, pause_seconds: float) -> int:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    path = Path(checkpoint)
    model = nn.Sequential(nn.Linear(16, 32), nn.Dropout(0.2), nn.GELU(), nn.Linear(32, 4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    first = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])  # Dropout draws from it
        first = state["steps"]

    def train_step(step: int) -> None:
        batch = torch.Generator().manual_seed(step)
        inputs = torch.randn(8, 16, generator=batch)
        loss = nn.functional.cross_entropy(model(inputs), inputs.abs().argmax(1) % 4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        time.sleep(pause_seconds)
        print(step, flush=True)

    def save(done: int) -> None:
        draft = path.with_suffix(".part")
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}
        torch.save({**state, "steps": done}, draft)
        os.replace(draft, path)

    with NoticeWatcher(MetadataClient(url), poll_seconds=0.02) as watcher:
        outcome = run_until_notice(train_step, save, watcher, first_step=first, last_step=steps)
    return REQUEUE_EXIT_CODE if outcome.requeue else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
