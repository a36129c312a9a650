"""Training over several processes: engines behind one interface, and what makes them fast and safe."""

from course_lib.distributed.accumulation import accumulating
from course_lib.distributed.build import build_engine, engine_names
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import TrainingSetupError
from course_lib.distributed.loop import History, train
from course_lib.distributed.run import Run, markov_batches, run
from course_lib.distributed.share import Share
from course_lib.runtime import Launcher, LaunchError, RankFailed, RanksTimedOut, launch

__all__ = [
    "Engine",
    "History",
    "LaunchError",
    "Launcher",
    "RankFailed",
    "RanksTimedOut",
    "Run",
    "Share",
    "TrainConfig",
    "TrainingSetupError",
    "accumulating",
    "build_engine",
    "engine_names",
    "launch",
    "markov_batches",
    "run",
    "train",
]
