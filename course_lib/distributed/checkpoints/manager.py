"""Save a run and resume it, on as many ranks as there are then: `torch.distributed.checkpoint` in a folder with rules.

Resuming brings back everything that the next step depends on: weights, the optimizer's moments and its step count, the
learning rate, random generators, and the number of the next global batch.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import async_save as dcp_async_save
from torch.distributed.checkpoint.state_dict_saver import save as dcp_save

from course_lib.distributed.checkpoints.errors import CheckpointError
from course_lib.distributed.checkpoints.folder import Folder, Saved
from course_lib.distributed.checkpoints.ranks import Ranks
from course_lib.distributed.checkpoints.state import check_fits, collect, restore, set_generators, template
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import check_count


@dataclass(frozen=True)
class Restored:
    """What a load has found.

    Args:
        step: optimizer steps that were taken before: the number of the next one.
        extra: what this rank added to the save; None on a rank that did not exist then.
    """

    step: int
    extra: Any = None


class CheckpointManager:
    """The checkpoints of one run; every rank has one, and all call its methods together.

    Args:
        folder: where they lie, on a disk that all ranks see; made when missing.
        keep: how many stay; None for all.

    Raises:
        TrainingSetupError: when keep is not at least 1.

    Source: torch.distributed.checkpoint's documentation; it saves each shard once, by the weights' names, and so can
        give another layout its own shards.
    """

    def __init__(self, folder: str | Path, *, keep: int | None = 3) -> None:
        if keep is not None:
            check_count("keep", keep)
        self.folder = Folder(Path(folder))
        self.keep = keep
        self._writing: Future[Saved | None] | None = None
        self._writers: dist.ProcessGroup | None = None
        self._ranks = Ranks(alone=True)

    def save(self, engine: Engine, step: int, *, extra: object = None, wait: bool = True) -> None:
        """Write a checkpoint.

        Args:
            engine: of this rank.
            step: optimizer steps taken so far.
            extra: this rank's own addition, picklable: a data reader's place, a loss scaler's state.
            wait: return when it is on the disk. With False the tensors are copied and written beside the training;
                the next `save`, or `wait`, waits for the rest and raises what went wrong.

        Raises:
            CheckpointError: on every rank alike: the folder can't be written to, or a rank could not write.
        """
        check_count("step", step, minimum=0)
        self.wait()
        self._ranks = ranks = ranks_of(engine)
        has_state = any(ranks.gather(bool(engine.optimizer.state)))
        draft = ranks.first_does(lambda: self.folder.open_draft(step))
        about = {"engine": engine.name, "world_size": ranks.count, "optimizer": engine.config.optimizer * has_state}
        state = collect(engine, ranks, extra, optimizer=has_state)
        writer = FileSystemWriter(draft)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            if wait:
                ranks.all_do(lambda: _told(lambda: dcp_save(state, storage_writer=writer, no_dist=ranks.alone)))
                ranks.first_does(lambda: self._finish(draft, step, about))
                return
            if dist.is_initialized() and self._writers is None:
                # training uses the other one at the same time, and a GPU's has no way to exchange the CPU's objects
                members = [dist.get_rank()] if ranks.alone else None
                self._writers = dist.new_group(members, backend="gloo", use_local_synchronization=ranks.alone)
            copying = dcp_async_save(state, storage_writer=writer, process_group=self._writers, no_dist=ranks.alone)
        assert isinstance(copying, Future)
        pool = ThreadPoolExecutor(1)  # not as a context manager, which would wait here
        self._writing = pool.submit(self._finish_later, copying, draft, step, about)
        pool.shutdown(wait=False)

    def every(self, engine: Engine, steps: int, **options: Any) -> Callable[[int], None]:
        """An `on_step` for `train` that saves after each `steps` steps; options as of `save`."""
        check_count("steps", steps)

        def on_step(step: int) -> None:
            if (step + 1) % steps == 0:
                self.save(engine, step + 1, **options)

        return on_step

    def wait(self) -> None:
        """Return when the last `save(..., wait=False)` is on the disk.

        Raises:
            CheckpointError: on every rank, when it failed.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            self._ranks.all_do(lambda: _told(writing.result))

    def steps(self) -> list[int]:
        """The steps of all finished checkpoints, oldest first."""
        return [saved.step for saved in self.folder.saved()]

    def latest(self) -> int | None:
        """The step of the newest checkpoint whose files are all there in full; None when there is none."""
        newest = self._newest_sound()
        return newest.step if newest else None

    def resume(self, engine: Engine) -> int:
        """Continue where the newest checkpoint was taken, or start: returns the number of the next step, 0 to start.

        Raises:
            CheckpointError: when there are checkpoints but none can be loaded into this engine.
        """
        ranks = ranks_of(engine)
        self.wait()
        return self.load(engine).step if ranks.first_does(lambda: bool(self.folder.saved())) else 0

    def load(self, engine: Engine, step: int | None = None, *, weights_only: bool = False) -> Restored:
        """Load a checkpoint into an engine of any kind and number of ranks.

        Args:
            engine: of this rank; its model has the shape of the one that was saved.
            step: which; the newest one whose files are all there when left out.
            weights_only: leave the optimizer and the random generators as they are: a new run from trained weights,
                which is no resumed run.

        Raises:
            CheckpointError: on every rank alike: there is none, a file is cut off, or it is of another model or
                optimizer.
        """
        self.wait()
        ranks = ranks_of(engine)
        saved = ranks.first_does(lambda: self._choose(step))
        ranks.all_do(saved.check)  # each rank looks for itself: the folder may not be shared
        about = ranks.all_do(saved.manifest)
        reader = FileSystemReader(saved.path)
        metadata = ranks.all_do(lambda: _told(reader.read_metadata))
        check_fits(engine, ranks, metadata, str(saved.path))
        full = not weights_only and bool(about["optimizer"])
        if full and about["optimizer"] != engine.config.optimizer:
            raise CheckpointError(
                f"{saved.path} was saved with optimizer={about['optimizer']!r}, this run has "
                f"{engine.config.optimizer!r}. Remedy: use the same one, or load the weights alone: weights_only=True."
            )
        state = template(engine, ranks, metadata, optimizer=full)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            ranks.all_do(lambda: _told(lambda: dcp_load(state, storage_reader=reader, no_dist=ranks.alone)))
        restore(engine, state)
        mine = state["rank"][str(ranks.rank)] if "rank" in state else pickle.dumps((None, {}, None))
        random_state, memories, extra = pickle.loads(mine)
        if random_state and not weights_only:
            set_generators(random_state)
            for name in engine.memories.keys() & memories.keys():
                engine.memories[name].load_state_dict(memories[name])
        return Restored(saved.step, extra)

    def _choose(self, step: int | None) -> Saved:
        found = self.folder.saved()
        chosen = self._newest_sound() if step is None else self.folder.of_step(step)
        if chosen is not None:
            return chosen
        if not found:
            raise CheckpointError(
                f"folder={str(self.folder.path)!r} holds no finished checkpoint. Remedy: save one first, or start with "
                "resume(engine), which returns 0 there."
            )
        if step is None:
            found[-1].check()  # says which file, and of the newest
        steps = ", ".join(str(saved.step) for saved in found)
        raise CheckpointError(f"step={step} has no checkpoint in {self.folder.path}. Remedy: use one of {steps}.")

    def _newest_sound(self) -> Saved | None:
        for saved in reversed(self.folder.saved()):
            try:
                saved.check()
            except CheckpointError as error:
                warnings.warn(f"checkpoint of step {saved.step} is passed over: {error}", stacklevel=3)
                continue
            return saved
        return None

    def _finish(self, draft: Path, step: int, about: dict[str, Any]) -> Saved:
        saved = self.folder.finish(draft, step, about)
        if self.keep is not None:
            self.folder.remove_all_but(self.keep)
        return saved

    def _finish_later(self, copying: Future[Any], draft: Path, step: int, about: dict[str, Any]) -> Saved | None:
        copying.result()  # rank 0 hears of it only after every rank has written
        return self._finish(draft, step, about) if self._ranks.rank == 0 else None


def ranks_of(engine: Engine) -> Ranks:
    """The ranks that an engine trains with."""
    return Ranks(alone=engine.name == "single" or not dist.is_initialized())


def _told(work: Callable[[], Any]) -> Any:
    """Whatever the library raises, as one `CheckpointError`."""
    try:
        return work()
    except CheckpointError:
        raise
    except (Exception, CheckpointException) as error:
        causes = getattr(error, "failures", {})  # of DCP's own error, no Exception: rank → (exception, traceback)
        first = next(iter(causes.values()), (error,))[0]
        raise CheckpointError(
            f"{type(first).__name__}: {first}. Remedy: look at the disk's room and rights, and at the file named."
        ) from error
