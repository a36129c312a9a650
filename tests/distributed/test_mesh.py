"""Layouts and their meshes. Oracle: torch's init_device_mesh, and ranks counted by hand."""

import math

import pytest
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st

from course_lib.distributed import Layout, TrainingSetupError
from course_lib.distributed.mesh import AXES, build_mesh, build_state_mesh

DEGREES = st.fixed_dictionaries({axis: st.integers(1, 3) for axis in AXES})


def test_tensor_neighbors_have_neighboring_numbers_and_pipeline_stages_lie_farthest_apart():
    """Oracle: Megatron-LM's order for TP 2, PP 2, DP 2, by hand."""
    layout = Layout(data=2, pipeline=2, tensor=2)
    assert layout.groups("tensor") == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert layout.groups("data") == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert layout.groups("pipeline") == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert layout.table()[5] == {"rank": 5, "pipeline": 1, "data": 0, "tensor": 1}
    assert str(layout) == "pipeline 2 x data 2 x tensor 2"


@given(degrees=DEGREES)
def test_groups_of_an_axis_cover_each_rank_once_and_batch_parts_are_shared_equally(degrees):
    """Oracle: counting."""
    layout = Layout(**degrees)
    assert layout.ranks == math.prod(degrees.values()) == len(layout.table())
    for axis in AXES:
        groups = layout.groups(axis)
        assert sorted(rank for group in groups for rank in group) == list(range(layout.ranks))
        assert {len(group) for group in groups} == {degrees[axis]}
    parts = [layout.batch_part(rank) for rank in range(layout.ranks)]
    assert {parts.count(part) for part in range(layout.batch_parts)} == {layout.ranks // layout.batch_parts}


def meshes_of_rank(layout):
    mesh, state = build_mesh(layout), build_state_mesh(layout)
    groups = {axis: dist.get_process_group_ranks(mesh.get_group(axis)) for axis in AXES}
    return (
        dict(zip(AXES, mesh.get_coordinate(), strict=True)),
        groups,
        dict(zip(state.mesh_dim_names, state.shape, strict=True)),
    )


@pytest.mark.parametrize(
    ("layout", "state"),
    [
        (Layout(shard=2, context=2), {"pipeline": 1, "data": 1, "shard": 4, "tensor": 1}),
        (Layout(data=2, context=2), {"pipeline": 1, "data": 4, "shard": 1, "tensor": 1}),
    ],
)
def test_a_rank_s_coordinates_and_groups_are_those_of_its_device_mesh(launch_ranks, layout, state):
    """Oracle: torch.distributed.device_mesh.init_device_mesh."""
    for rank, (place, groups, state_shape) in enumerate(launch_ranks(meshes_of_rank, layout.ranks, layout)):
        assert place == layout.coordinates(rank)
        assert state_shape == state
        for axis in AXES:
            assert groups[axis] in layout.groups(axis)
            assert rank in groups[axis]


@pytest.mark.parametrize(
    ("layout", "world", "remedy"),
    [
        (Layout(data=2, tensor=2), 6, "set data=3, or start 4 ranks"),
        (Layout(tensor=2), 8, "set data=4, or start 2 ranks"),
        (Layout(data=4, tensor=2), 4, "set data=2, or start 8 ranks"),
        (Layout(data=3, tensor=2), 5, "start 6 ranks"),
    ],
)
def test_a_world_that_does_not_fit_is_refused_with_the_nearest_fix(layout, world, remedy):
    with pytest.raises(TrainingSetupError) as caught:
        layout.check(world)
    told = str(caught.value)
    assert f"= {layout.ranks} ranks where there are {world}" in told
    assert f"Remedy: {remedy}" in told


@pytest.mark.parametrize("degree", [0, -1, 1.5, True, "2"])
def test_a_degree_that_is_no_count_is_refused(degree):
    with pytest.raises(TrainingSetupError, match=r"tensor=.* must be a whole number"):
        Layout(tensor=degree)


def test_an_unknown_axis_is_refused():
    with pytest.raises(TrainingSetupError, match="axis='expert' is not known"):
        Layout().groups("expert")
