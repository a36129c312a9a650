import pytest
import torch

from course_lib.distributed import build_engine, train
from course_lib.moe.analysis import RoutingRecorder
from course_lib.moe.corpus import Windows
from tests.moe.analysis.runs import batches, config


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A finished run of six steps: its folder, its model and the recorder."""
    folder = tmp_path_factory.mktemp("routing") / "run"
    engine = build_engine("single", config())
    recorder = RoutingRecorder(engine, folder)
    history = train(engine, batches(), 6, on_step=recorder)
    recorder.finish(history.losses)
    return folder, engine.model, recorder


@pytest.fixture(scope="session")
def windows():
    """Ten windows of random tokens in two domains."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 32, (10, 17), generator=generator)
    return Windows(tokens[:, :-1], tokens[:, 1:], torch.tensor([0] * 6 + [1] * 4))
