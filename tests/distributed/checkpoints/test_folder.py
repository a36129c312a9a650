"""A checkpoint is whole or not there. Oracles: the bytes on the disk; loading what an earlier, whole save wrote."""

import json
import os
import signal
import threading

import pytest
import torch
import torch.distributed as dist
from torch.distributed.checkpoint import FileSystemWriter

from course_lib.distributed import (
    CheckpointError,
    CheckpointManager,
    LaunchError,
    RankFailed,
    TrainingSetupError,
    build_engine,
    markov_batches,
    train,
)
from course_lib.models import tiny_config
from tests.distributed.curves import small_config


def trained(steps=1, **changes):
    engine = build_engine("single", small_config(**changes))
    train(engine, markov_batches(engine.config), steps)
    return engine


def damage(folder, step, size=100):
    """Cut a data file off, as a full disk or a broken copy does."""
    file = next((folder / f"step-{step:08d}").glob("*.distcp"))
    os.truncate(file, size)
    return file


def test_a_rank_that_dies_half_way_leaves_the_last_good_checkpoint(launch_ranks, tmp_path):
    def save_and_die(folder):
        shape = small_config()
        engine, manager, data = build_engine("fsdp", shape), CheckpointManager(folder), markov_batches(shape)
        train(engine, data, 2, on_step=manager.every(engine, 2))
        train(engine, data, 1, first_step=2)
        if dist.get_rank() == 1:
            import torch.distributed.checkpoint as dcp

            dcp.FileSystemWriter.write_data = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        manager.save(engine, 3)

    with pytest.raises(RankFailed, match="rank 1 of 2"):
        launch_ranks(save_and_die, 2, tmp_path)
    assert (tmp_path / ".draft-00000003").is_dir(), "the other rank had begun to write"
    manager = CheckpointManager(tmp_path)
    assert (manager.latest(), manager.steps()) == (2, [2])
    engine = build_engine("single", small_config())
    assert manager.resume(engine) == 2
    manager.save(engine, 3)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000002", "step-00000003"], "no draft is left"


def test_a_rank_that_raises_while_writing_fails_all_and_leaves_no_checkpoint(launch_ranks, tmp_path):
    def save(folder):
        engine = build_engine("fsdp", small_config())
        if dist.get_rank() == 1:
            import torch.distributed.checkpoint as dcp

            def full(*_):
                raise OSError(28, "No space left on device")

            dcp.FileSystemWriter.write_data = full
        CheckpointManager(folder).save(engine, 1)

    with pytest.raises(LaunchError) as caught:
        launch_ranks(save, 2, tmp_path)
    assert "All 2 ranks failed alike: CheckpointError: OSError: [Errno 28] No space left on device" in str(caught.value)
    assert CheckpointManager(tmp_path).latest() is None


def test_a_save_beside_the_training_holds_nothing_up_and_is_no_checkpoint_until_it_is_whole(tmp_path, monkeypatch):
    """Oracle: the order of events: nothing is written before the save has returned."""
    returned, write = threading.Event(), FileSystemWriter.write_data

    def held_back(*args):
        assert returned.wait(60), "the save did not return before its bytes were written"
        return write(*args)

    monkeypatch.setattr(FileSystemWriter, "write_data", held_back)
    engine, manager = trained(), CheckpointManager(tmp_path)
    manager.save(engine, 1, wait=False)
    assert manager.steps() == []
    returned.set()
    manager.wait()
    assert manager.steps() == [1]


def test_the_last_k_stay(tmp_path):
    engine, manager = trained(), CheckpointManager(tmp_path, keep=2)
    for step in (1, 2, 10):
        manager.save(engine, step)
    assert manager.steps() == [2, 10]


def test_a_step_can_be_saved_again_and_the_newer_one_counts(tmp_path):
    engine, manager = trained(), CheckpointManager(tmp_path)
    for word in ("first", "second", "third"):
        manager.save(engine, 5, extra=word)
    assert manager.steps() == [5]
    assert manager.load(engine).extra == "third"


def test_a_folder_without_checkpoints_starts_at_zero_but_can_not_be_loaded(tmp_path):
    manager, engine = CheckpointManager(tmp_path / "none"), build_engine("single", small_config())
    assert (manager.resume(engine), manager.latest(), manager.steps()) == (0, None, [])
    with pytest.raises(CheckpointError, match=r"folder='.*none' holds no finished checkpoint. Remedy: save one first"):
        manager.load(engine)


def test_a_step_that_was_not_saved_is_refused_with_those_that_were(tmp_path):
    engine, manager = trained(), CheckpointManager(tmp_path)
    manager.save(engine, 4)
    with pytest.raises(CheckpointError, match=r"step=5 has no checkpoint in .*Remedy: use one of 4\."):
        manager.load(engine, 5)


def test_a_file_that_was_cut_off_is_named_and_passed_over(tmp_path):
    engine, manager = trained(), CheckpointManager(tmp_path)
    manager.save(engine, 1)
    manager.save(engine, 2)
    file = damage(tmp_path, 2)
    with pytest.raises(CheckpointError, match=rf"{file.name} has 100 bytes, but \d+ were written: it was cut off"):
        manager.load(engine, 2)
    with pytest.warns(UserWarning, match=f"checkpoint of step 2 is passed over: .*{file.name}"):
        assert manager.latest() == 1
    with pytest.warns(UserWarning, match="passed over"):
        assert manager.resume(engine) == 1
    damage(tmp_path, 1)
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(CheckpointError, match=r"step-00000002.*cut off"),
    ):
        manager.resume(engine)


@pytest.mark.parametrize("name", ["manifest.json", ".metadata"])
def test_a_lost_file_is_named(tmp_path, name):
    engine, manager = trained(), CheckpointManager(tmp_path)
    manager.save(engine, 1)
    (tmp_path / "step-00000001" / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} (is missing|can't be read)"):
        manager.load(engine, 1)


def test_another_shape_is_refused_and_the_tensors_named_once_for_all_ranks(launch_ranks, tmp_path):
    engine = trained()
    CheckpointManager(tmp_path).save(engine, 1)
    wide = small_config(model=tiny_config(layers=1, hidden_size=64, heads=4, vocab_size=32))

    def load(folder):
        CheckpointManager(folder).load(build_engine("fsdp", wide))

    with pytest.raises(LaunchError) as caught:
        launch_ranks(load, 2, tmp_path)
    told = str(caught.value)
    assert told.count("tok_embeddings.weight is (32, 32) there and (32, 64) here") == 1
    assert "more. Remedy: build the engine with the config of the run that saved it" in told


def test_layers_that_only_the_checkpoint_has_are_not_dropped_in_silence(tmp_path):
    CheckpointManager(tmp_path).save(trained(), 1)
    shallow = build_engine("single", small_config(model=tiny_config(layers=1, hidden_size=32, heads=4, vocab_size=32)))
    with pytest.raises(CheckpointError, match=r"layers\.1\.attention_norm\.weight is only there"):
        CheckpointManager(tmp_path).load(shallow)


def test_another_optimizer_is_refused_but_its_weights_can_be_loaded(tmp_path):
    first = trained(steps=2)
    CheckpointManager(tmp_path).save(first, 2)
    other = build_engine("single", small_config(optimizer="sgd"))
    with pytest.raises(CheckpointError, match="saved with optimizer='adamw', this run has 'sgd'"):
        CheckpointManager(tmp_path).load(other)
    CheckpointManager(tmp_path).load(other, weights_only=True)
    assert torch.equal(other.model.output.weight, first.model.output.weight)


def test_a_folder_that_can_not_be_written_to_is_refused_on_all_ranks_at_once(launch_ranks, tmp_path):
    (tmp_path / "file").write_text("in the way")

    def save(folder):
        CheckpointManager(folder).save(build_engine("ddp", small_config()), 1)

    with pytest.raises(LaunchError) as caught:
        launch_ranks(save, 2, tmp_path / "file" / "inside")
    assert "All 2 ranks failed alike: CheckpointError: folder=" in str(caught.value)
    assert "can't be written to (Not a directory). Remedy" in str(caught.value)


def test_every_byte_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """Oracle: the order of the system calls: files are synced, then their folder; it is renamed, its parent synced."""
    calls = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    monkeypatch.setattr(os, "rename", lambda *a, **k: (calls.append("rename"), rename(*a, **k)))
    CheckpointManager(tmp_path).save(trained(), 1)
    draft = str(tmp_path / ".draft-00000001")
    last = len(calls) - 1 - calls[::-1].index("rename")
    synced = calls[:last]
    manifest = json.loads((tmp_path / "step-00000001" / "manifest.json").read_text())
    data = [name for name in manifest["files"] if name.endswith(".distcp")]
    assert data
    assert all(f"{draft}/{name}" in synced for name in [*data, "manifest.json"])
    assert synced[-1] == draft
    assert calls[last + 1 :] == [str(tmp_path)]


@pytest.mark.parametrize("keep", [0, -1, 2.5, True])
def test_a_keep_that_is_no_count_is_refused(tmp_path, keep):
    with pytest.raises(TrainingSetupError, match=r"keep=.* must be a whole number of at least 1"):
        CheckpointManager(tmp_path, keep=keep)


def test_a_negative_step_is_refused(tmp_path):
    with pytest.raises(TrainingSetupError, match="step=-1"):
        CheckpointManager(tmp_path).save(build_engine("single", small_config()), -1)
