"""Alarms on runs that were broken on purpose, and silence on one that was not."""

import numpy as np
import pytest
import torch

from course_lib.distributed import build_engine, train
from course_lib.moe import moe_layers
from course_lib.moe.analysis import Limits, RoutingRecorder, alarms
from tests.moe.analysis.runs import batches, config


def run(tmp_path, spoil, steps=8, **options):
    engine = build_engine("single", config(**options))
    for layer in moe_layers(engine.model)[:1]:
        with torch.no_grad():
            spoil(layer.router.weight)
        layer.router.weight.requires_grad_(False)
    recorder = RoutingRecorder(engine, tmp_path / "run")
    train(engine, batches(), steps, on_step=recorder)
    return recorder.records


def kinds(records, **limits):
    return {(alarm.layer, alarm.kind) for alarm in alarms(records, Limits(dead_steps=5, **limits))}


def test_a_healthy_run_wakes_nobody(recorded):
    assert alarms(recorded[2].records) == []


def test_experts_that_nobody_chooses_are_a_collapse_and_dead(tmp_path):
    def spoil(weight):
        weight.zero_()  # all logits are equal, and the first k experts are taken

    found = kinds(run(tmp_path, spoil), effective=0.6)
    assert found == {(0, "collapse"), (0, "dead expert")}


def test_a_saturated_router_and_its_logits(tmp_path):
    found = kinds(run(tmp_path, lambda weight: weight.mul_(5000)))
    assert {(0, "saturated router"), (0, "large logits")} <= found
    assert all(layer == 0 for layer, _ in found)


@pytest.mark.parametrize(("share", "saturated"), [(0.049, True), (0.051, False)])
def test_saturation_is_a_share_of_the_largest_entropy(share, saturated):
    """Oracle: the entropy of 8 equal probabilities is log 8 nats."""
    state = {"load": [2] * 8, "entropy": share * float(np.log(8)), "largest_logit": 1.0, "dropped": 0.0}
    found = alarms([{"step": step, "layers": [state]} for step in range(5)])
    assert [alarm.kind for alarm in found] == ["saturated router"] * saturated


def test_dropped_tokens(tmp_path):
    found = alarms(run(tmp_path, lambda weight: weight.zero_(), capacity_factor=1.0))
    dropped = [alarm for alarm in found if alarm.kind == "dropped tokens"]
    assert [alarm.layer for alarm in dropped] == [0]
    assert dropped[0].step == 4  # the fifth record in a row
    assert "capacity_factor" in dropped[0].told


def test_a_router_that_is_not_a_number_is_told(recorded):
    records = [dict(record) for record in recorded[2].records]
    for record in records:
        record["layers"] = [dict(state, entropy=float("nan"), largest_logit=float("nan")) for state in record["layers"]]
    assert {kind for _, kind in kinds(records)} == {"saturated router", "large logits"}


@pytest.mark.parametrize("patience", [1, 6])
def test_one_odd_batch_wakes_nobody(recorded, patience):
    records = [dict(record) for record in recorded[2].records]
    odd = dict(records[2]["layers"][0], load=[128, 0, 0, 0])
    records[2]["layers"] = [odd, *records[2]["layers"][1:]]
    found = alarms(records, Limits(patience=patience))
    assert [alarm.kind for alarm in found] == (["collapse"] if patience == 1 else [])
