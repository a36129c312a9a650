"""Records of a run against the routing that each step really had, and across ranks against one process."""

import json

import pytest

from course_lib.distributed import TrainConfig, build_engine, train
from course_lib.models import tiny_config
from course_lib.moe import MoEError, moe_layers
from course_lib.moe.analysis import LiveView, RoutingRecorder, read_records
from tests.moe.analysis.runs import batches, config


def test_the_last_record_is_the_last_forward_pass(recorded):
    folder, model, recorder = recorded
    records = read_records(folder)
    assert records == recorder.records
    assert [record["step"] for record in records] == list(range(6))
    for layer, state in zip(moe_layers(model), records[-1]["layers"], strict=True):
        assert sum(state["load"]) == 4 * 16 * 2
        assert 0 < state["entropy"] <= 1.3863
        assert state["dropped"] == 0
        assert len(state["load"]) == layer.config.experts
    assert json.loads((folder / "run.json").read_text())["router"] == "topk"
    assert len(json.loads((folder / "losses.json").read_text())) == 6


def test_a_folder_is_not_written_over(recorded):
    engine = build_engine("single", config())
    with pytest.raises(MoEError, match="holds a recorded run already"):
        RoutingRecorder(engine, recorded[0])
    assert len(read_records(recorded[0])) == 6


def test_a_line_that_is_being_written_is_left_for_later(recorded, tmp_path):
    whole = (recorded[0] / "routing.jsonl").read_text()
    (tmp_path / "routing.jsonl").write_text(whole[:-20])
    assert len(read_records(tmp_path)) == 5


def test_a_foreign_line_is_named(tmp_path):
    (tmp_path / "routing.jsonl").write_text('{"step": 0, "layers": []}\n{"loss": 1}\n')
    with pytest.raises(MoEError, match="line 2"):
        read_records(tmp_path)
    with pytest.raises(MoEError, match=r"has no routing\.jsonl"):
        read_records(tmp_path / "elsewhere")


def test_a_dense_run_has_no_routing_to_record(tmp_path):
    dense = build_engine("single", TrainConfig(model=tiny_config(layers=1)))
    with pytest.raises(MoEError, match="without experts"):
        RoutingRecorder(dense, tmp_path / "dense")
    assert not (tmp_path / "dense").exists()


def test_two_ranks_record_what_one_process_records(launch_ranks, recorded, tmp_path):
    """Oracle: the run of one process on the same batches."""
    folder = str(tmp_path / "two")

    def rank():
        engine = build_engine("ddp", config())
        recorder = RoutingRecorder(engine, folder, every=2)
        history = train(engine, batches(), 6, on_step=recorder)
        recorder.finish(history.losses)
        return recorder.first

    assert launch_ranks(rank, 2) == [True, False]
    alone = [record for record in read_records(recorded[0]) if record["step"] % 2 == 0]
    for one, two in zip(alone, read_records(folder), strict=True):
        assert one["step"] == two["step"]
        for a, b in zip(one["layers"], two["layers"], strict=True):
            assert a["load"] == b["load"]
            assert a["entropy"] == pytest.approx(b["entropy"], abs=1e-5)


def test_a_live_view_draws_now_and_then(tmp_path):
    drawn = []

    class Cell:
        def update(self, shown):
            drawn.append(len(shown.data[0].x))

    engine = build_engine("single", config())
    view = LiveView(RoutingRecorder(engine, tmp_path / "live"), every=2, handle=Cell())
    train(engine, batches(), 5, on_step=view)
    assert drawn == [1, 3, 5]
