"""FSDP2 equals one process. Oracle: the same run in a single process, no torch.distributed in it."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import FSDPModule

from course_lib.distributed import LaunchError, build_engine, markov_batches, parameter_bytes
from course_lib.models import tiny_config
from tests.distributed.collective_counts import collectives
from tests.distributed.curves import SMALL, assert_equal_curves, run_engine, single_process, small_config

BF16_LOSS = 2e-2  # relative: bf16 keeps 8 bits, so that each operation rounds by up to 2**-8 = 0.4 %


@pytest.mark.parametrize(("world_size", "microbatch"), [(1, 2), (2, 0), (2, 1), (3, 1), (4, 0)])
def test_the_curve_equals_one_process(launch_ranks, world_size, microbatch):
    batch = 9 if world_size == 3 else 8
    ours = run_engine(launch_ranks, "fsdp", small_config(microbatch=microbatch, global_batch=batch), world_size)
    assert_equal_curves(ours, single_process(small_config(global_batch=batch)))


@pytest.mark.parametrize(
    "options",
    [{"reshard_after_forward": False}, {"offload": True}, {"prefetch": 2}, {"skip_sync": False}],
    ids=lambda options: next(iter(options)),
)
def test_no_option_changes_what_is_computed(launch_ranks, options):
    config = small_config(microbatch=2, clip_norm=0.5)
    assert_equal_curves(run_engine(launch_ranks, "fsdp", config, 2, **options), single_process(config))


def test_offload_is_asked_for_in_every_group_of_weights(launch_ranks):
    """Oracle: torch's own note beside each weight; on the CPU, where nothing else shows it."""

    def of_rank(offload):
        model = build_engine("fsdp", small_config(), offload=offload).model
        states = [part._get_fsdp_state() for part in model.modules() if isinstance(part, FSDPModule)]
        return [{weight.offload_to_cpu for weight in state._fsdp_param_group.fsdp_params} for state in states]

    both = launch_ranks(lambda: [of_rank(True), of_rank(False)], 1)[0]
    assert both == [[{True}] * 3, [{False}] * 3]  # two blocks and the rest


@pytest.mark.parametrize("mode", ["selective", "full"])
def test_recomputation_inside_of_shards_changes_nothing(launch_ranks, mode):
    ours = run_engine(launch_ranks, "fsdp", small_config(recomputation=mode), 2)
    assert_equal_curves(ours, single_process(small_config()))


def test_tied_weights_are_sharded_once_and_stay_tied(launch_ranks):
    config = small_config(model=tiny_config(layers=2, hidden_size=32, heads=4, vocab_size=32, tied_embeddings=True))
    ours = run_engine(launch_ranks, "fsdp", config, 2)
    assert_equal_curves(ours, single_process(config))
    assert torch.equal(ours.weights["tok_embeddings.weight"], ours.weights["output.weight"])


def test_sizes_that_no_rank_count_divides_work(launch_ranks):
    odd = tiny_config(layers=1, hidden_size=30, heads=5, vocab_size=31)
    config = small_config(model=odd, global_batch=4, clip_norm=1.0)
    assert_equal_curves(run_engine(launch_ranks, "fsdp", config, 4), single_process(config))


@pytest.mark.parametrize("engine", ["single", "ddp", "fsdp"])
def test_bf16_follows_the_fp32_curve_within_its_rounding(launch_ranks, engine):
    reference = single_process(small_config())
    ours = run_engine(launch_ranks, engine, small_config(precision="bf16"), 1 if engine == "single" else 2)
    torch.testing.assert_close(torch.tensor(ours.losses), torch.tensor(reference.losses), rtol=BF16_LOSS, atol=0)
    assert ours.losses != reference.losses, "nothing was computed in bf16"
    assert {value.dtype for value in ours.weights.values()} == {torch.float32}, "the trained weights stay in fp32"


def test_clipping_sees_the_gradients_of_all_ranks(launch_ranks):
    """Oracle: torch's clip_grad_norm_ of one process over the whole model."""
    config = small_config()

    def norm(name):
        engine = build_engine(name, config)
        engine.forward_backward(engine.share.of(markov_batches(config)[0]))
        clipped = (engine.clip or engine._clip_local)(0.01)
        return type(clipped) is torch.Tensor, float(clipped)

    norms = launch_ranks(norm, 2, "fsdp")
    assert all(plain for plain, _ in norms)
    assert [n for _, n in norms] == pytest.approx([norm("single")[1]] * 2, rel=1e-5)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_a_rank_holds_its_part_of_weights_gradients_and_optimizer(launch_ranks, world_size):
    """Oracle: the parameter count of the same torch module, unsharded, times 4 bytes, divided by the ranks."""

    def held():
        engine = build_engine("fsdp", small_config())
        batch = engine.share.of(markov_batches(engine.config)[0])
        engine.forward_backward(batch)
        gradients = sum(p.grad.to_local().nbytes for p in engine.model.parameters())
        engine.optimizer.step()
        states = engine.optimizer.state.values()
        moments = sum(s[key].to_local().nbytes for s in states for key in ("exp_avg", "exp_avg_sq"))
        return parameter_bytes(engine.model), gradients, moments

    total = parameter_bytes(build_engine("single", small_config()).model)
    assert total == 4 * sum(p.numel() for p in build_engine("single", small_config()).model.parameters())
    share = total // world_size  # every first dimension of this model divides by 4
    assert launch_ranks(held, world_size) == [(share, share, 2 * share)] * world_size


@pytest.mark.parametrize("reshard", [True, False])
def test_at_most_one_block_is_whole_in_the_forward_pass_unless_resharding_is_off(launch_ranks, reshard):
    """Oracle: parameter counts of the unsharded torch modules."""

    def watched():
        engine = build_engine("fsdp", small_config(), reshard_after_forward=reshard)
        seen = []
        for block in engine.model.layers.values():
            inner = block.feed_forward  # not a group of its own: its hook runs while the block is gathered
            inner.register_forward_hook(lambda *_: seen.append(parameter_bytes(engine.model)))
        engine.model(markov_batches(engine.config)[0].tokens)
        return seen

    model = build_engine("single", small_config()).model
    total = parameter_bytes(model)
    block = parameter_bytes(model.layers["0"])
    outside = total - 2 * block
    one_whole = outside + block + block // 2  # the other one is halved
    assert launch_ranks(watched, 2) == [[one_whole, one_whole if reshard else total]] * 2


def test_leaving_out_the_exchange_costs_gradients_of_the_whole_model(launch_ranks):
    """Oracle: 4 bytes times the parameters of the unsharded module."""

    def unreduced(skip):
        engine = build_engine("fsdp", small_config(microbatch=2), skip_sync=skip)
        gathered = []  # while a layer runs, its weight is the whole, plain one
        for module in engine.model.modules():
            if next(module.children(), None) is None and hasattr(module, "weight"):
                module.register_forward_hook(lambda layer, *_: gathered.append(layer.weight))
        engine.model.set_requires_gradient_sync(not skip)
        engine.model(markov_batches(engine.config)[0].tokens).sum().backward()
        sharded = sum(p.grad.to_local().nbytes for p in engine.model.parameters() if p.grad is not None)
        return sharded, sum(weight.grad.nbytes for weight in gathered if weight.grad is not None)

    total = 4 * sum(p.numel() for p in build_engine("single", small_config()).model.parameters())
    assert launch_ranks(unreduced, 2, True) == [(0, total)] * 2
    assert launch_ranks(unreduced, 2, False) == [(total // 2, 0)] * 2


def test_no_exchange_happens_before_the_last_microbatch(launch_ranks):
    """Oracle: torch's profiler, which counts collectives."""

    def reductions(skip):
        engine = build_engine("fsdp", small_config(microbatch=1), skip_sync=skip)
        rows = engine.share.of(markov_batches(engine.config)[0])
        return collectives(lambda: engine.forward_backward(rows))["c10d::_reduce_scatter_base_"]

    groups = SMALL.layers + 1
    assert launch_ranks(reductions, 2, True) == [groups] * 2
    assert launch_ranks(reductions, 2, False) == [4 * groups] * 2


def test_every_rank_gets_the_whole_weights(launch_ranks):
    def shapes():
        state = build_engine("fsdp", small_config()).full_state()
        return dist.get_rank(), {name: tuple(value.shape) for name, value in state.items()}

    whole = {n: tuple(v.shape) for n, v in build_engine("single", small_config()).full_state().items()}
    assert launch_ranks(shapes, 2) == [(0, whole), (1, whole)]


def test_a_batch_that_does_not_divide_is_refused(launch_ranks):
    with pytest.raises(LaunchError, match="global_batch=8 can't be shared equally by 3"):
        run_engine(launch_ranks, "fsdp", small_config(), 3)


def test_a_negative_prefetch_is_refused(launch_ranks):
    with pytest.raises(LaunchError, match="prefetch=-1 must be a whole number of at least 0"):
        run_engine(launch_ranks, "fsdp", small_config(), 2, prefetch=-1)
