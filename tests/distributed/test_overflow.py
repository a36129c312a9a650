"""Which layer overflowed first. Oracle: overflows planted in known layers, and torch.isfinite over all tensors."""

import gc

import pytest
import torch
from torch import nn

from course_lib.distributed import OverflowWatch, TrainConfig, build_engine, markov_batches


class Gain(nn.Module):
    """Multiplies on the way forward, on the way back, or both."""

    def __init__(self, forward=1.0, backward=1.0):
        super().__init__()
        self.gain, self.back = forward, backward

    def forward(self, x):
        class Scale(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value):
                return value * self.gain

            @staticmethod
            def backward(ctx, gradient):
                return gradient * self.back

        return Scale.apply(x)


def chain(planted, dtype=torch.float16, **gains):
    torch.manual_seed(0)
    layers = [nn.Linear(4, 4), Gain(), nn.Linear(4, 4), Gain(), nn.Linear(4, 4)]
    layers[planted] = Gain(**gains) if gains else layers[planted]
    return nn.Sequential(*layers).to(dtype)


def step(model, watch, x=None):
    x = torch.ones(3, 4, dtype=next(model.parameters()).dtype) if x is None else x
    model(x).sum().backward()
    return watch.end_step()


@pytest.mark.parametrize("planted", [1, 3])
def test_a_forward_overflow_is_found_in_its_layer(planted):
    """Oracle: the planted gain; everything after it is not finite either, as torch.isfinite says."""
    model = chain(planted, forward=1e6)
    seen = []
    for layer in model:
        layer.register_forward_hook(lambda *io: seen.append((io[1][0], io[2])))
    with OverflowWatch(model) as watch:
        found = step(model, watch)
    broken = [index for index, (_, out) in enumerate(seen) if not torch.isfinite(out).all()]
    assert broken == list(range(planted, 5))
    assert (found.phase, found.module, found.tensor, found.kind) == ("forward", str(planted), "output", "inf")
    assert (found.step, found.rank, found.dtype) == (0, 0, torch.float16)
    assert found.max_abs_before == seen[planted][0].abs().max().item()
    assert f"the first inf is in the output of {planted}, float16; largest magnitude before it:" in str(found)


@pytest.mark.parametrize("planted", [1, 3])
def test_a_backward_overflow_is_found_in_the_layer_whose_gradient_it_is(planted):
    """Oracle: the planted gain; the forward pass is finite."""
    model = chain(planted, backward=1e6)
    with OverflowWatch(model) as watch:
        found = step(model, watch)
    assert (found.phase, found.module, found.tensor) == ("backward", str(planted), "gradient of input")
    assert 0 < found.max_abs_before < 65504


def test_the_gradient_of_a_weight_alone_can_overflow():
    """Oracle: by hand: 60,000 in, a gradient of 4 out: 240,000 is above fp16's 65,504, the layer's input needs none."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False)).half()
    nn.init.constant_(model[0].weight, 1e-3)
    with OverflowWatch(model) as watch:
        (model(torch.full((1, 1), 6e4, dtype=torch.float16)) * 4).sum().backward()
        found = watch.end_step()
    assert (found.phase, found.module, found.tensor, found.kind) == ("backward", "0", "gradient of weight", "inf")
    assert found.max_abs_before == 4  # the gradient of the output


def test_a_loss_that_overflows_shows_in_the_gradient_of_the_last_layers_output():
    """Oracle: a factor planted behind the model, in code that is not watched; the last layer, not the whole model."""
    model = chain(1, torch.float32)
    with OverflowWatch(model) as watch:
        (model(torch.ones(3, 4)) * 1e39).sum().backward()
        found = watch.end_step()
    assert (found.phase, found.module, found.tensor) == ("backward", "4", "gradient of output")


def test_nan_and_the_step_are_told():
    """Oracle: 0 / 0 planted in the third step."""
    model = chain(1, torch.float32)
    with OverflowWatch(model, first_step=10) as watch:
        assert step(model, watch) is None
        assert step(model, watch) is None
        found = step(model, watch, torch.full((3, 4), float("nan")))
    assert (found.step, found.kind, found.module, found.tensor) == (12, "nan", "0", "input")


def test_a_weight_that_was_broken_before_is_blamed_rather_than_its_layer():
    """Oracle: NaN planted in a bias."""
    model = chain(1, torch.float32)
    with torch.no_grad():
        model[2].bias[1] = float("nan")
    with OverflowWatch(model) as watch:
        found = step(model, watch)
    assert (found.module, found.tensor, found.kind) == ("2", "bias", "nan")


def test_it_names_the_layer_also_when_the_optimizer_has_spoiled_all_weights_since():
    """Oracle: the planted gain; every weight is NaN when the watch is asked."""
    model = chain(3, torch.float32, forward=1e39)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    found = []
    with OverflowWatch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(3, 4)).sum().backward()
            optimizer.step()
            found.append(watch.end_step())
    # the second forward still breaks in layer 3; its backward, through the last layer's weights, spoils all others
    assert all(p.isnan().any() for p in model[0].parameters())
    assert [(f.module, f.tensor) for f in found] == [("3", "output"), ("3", "output"), ("0", "weight")]


def test_code_between_layers_shows_as_the_next_layers_input_with_all_who_share_it():
    """Oracle: a product planted in a module's own code before its children."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.wq, self.wk = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            x = x * 1e30 * 1e30
            return self.wq(x) + self.wk(x)

    model = nn.ModuleDict({"block": Block()})["block"]
    with OverflowWatch(model) as watch:
        found = step(model, watch)
    assert (found.module, found.tensor, found.also) == ("wq", "input", ("wk",))


def test_a_containers_own_last_operation_is_its_output():
    """Oracle: a product planted after the children."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return (self.inner(x) * 1e30) * 1e30

    model = nn.Sequential(Block())
    with OverflowWatch(model) as watch:
        found = step(model, watch)
    assert (found.module, found.tensor) == ("0", "output")


def test_layers_that_write_in_place_are_told_apart_from_those_before_them():
    """Oracle: an in-place product planted between two layers."""

    class InPlace(nn.Module):
        def forward(self, x):
            return x.mul_(1e30).mul_(1e30)

    model = nn.Sequential(nn.Linear(4, 4), InPlace(), nn.ReLU(inplace=True), nn.Linear(4, 4))
    with OverflowWatch(model) as watch:
        found = step(model, watch)
    assert (found.module, found.tensor) == ("1", "output")


def test_a_tensor_of_ones_own_code_can_be_watched():
    """Oracle: the loss."""
    model = nn.Linear(4, 1)
    with OverflowWatch(model) as watch:
        loss = model(torch.ones(2, 4)).sum() / torch.zeros(())
        watch.note("loss", loss)
        found = watch.end_step()
    assert (found.module, found.tensor) == ("loss", "value")


def test_watching_changes_no_bit_and_leaves_no_hook():
    """Oracle: the same steps without the watch; the modules' own tables of hooks."""
    outcomes = []
    for watched in (False, True):
        model = chain(1, torch.float32)
        if watched:
            with OverflowWatch(model) as watch:
                assert step(model, watch) is None
                assert watch.largest("forward") == 0
        else:
            model(torch.ones(3, 4)).sum().backward()
        outcomes.append([p.grad for p in model.parameters()])
    for one, other in zip(*outcomes, strict=True):
        assert torch.equal(one, other)
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_the_watch_keeps_no_tensor_of_the_step_alive():
    """Oracle: weak references to a layer's output."""
    import weakref

    model = chain(1, torch.float32)
    kept = []
    model[0].register_forward_hook(lambda *io: kept.append(weakref.ref(io[2])))
    with OverflowWatch(model) as watch:
        loss = model(torch.ones(3, 4)).sum()
        loss.backward()
        del loss
        gc.collect()
        assert kept[0]() is None
        assert watch.largest("forward") > 0
        assert watch.end_step() is None


def test_it_names_the_layer_whose_step_a_grad_scaler_skips():
    """Oracle: torch.amp.GradScaler on the CPU: an infinite scaled gradient halves its scale."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    halved = []
    with OverflowWatch(model) as watch:
        for _ in range(8):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16):
                loss = model(torch.ones(4, 8)).float().square().sum()
            scaler.scale(loss).backward()
            found = watch.end_step()
            scale = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            assert (found is not None) == (scaler.get_scale() < scale)
            halved.append(found)
    assert halved[0].phase == "backward"
    assert halved[0].dtype == torch.float16
    assert halved[-1] is None


def test_it_reads_the_courses_model_and_engine():
    """Oracle: weights planted in the second block's w3 and w2, whose product exceeds float32."""
    torch.set_num_threads(1)
    config = TrainConfig(global_batch=2, sequence_length=8)
    engine = build_engine("single", config)
    with torch.no_grad():
        for name in ("w2", "w3"):
            engine.model.get_parameter(f"layers.1.feed_forward.{name}.weight").fill_(1e25)
    with OverflowWatch(engine.model) as watch:
        engine.step(markov_batches(config)[0])
        found = watch.end_step()
    assert (found.phase, found.module, found.tensor) == ("forward", "layers.1.feed_forward.w2", "output")
    assert found.max_abs_before > 1e20


def recomputed():
    from torch.utils.checkpoint import checkpoint

    model = chain(3, forward=1e6)
    with OverflowWatch(model) as watch:
        checkpoint(model, torch.ones(3, 4, dtype=torch.float16), use_reentrant=False).sum().backward()
        return watch.end_step()


def test_recomputation_does_not_hide_the_layer():
    """Oracle: the planted gain, under torch.utils.checkpoint."""
    assert (recomputed().module, recomputed().phase) == ("3", "forward")


def rank_overflows(broken_rank, engine):
    import torch.distributed as dist

    rank = dist.get_rank()
    model = chain(1, torch.float32)
    wrapped = model
    if engine == "ddp":
        wrapped = nn.parallel.DistributedDataParallel(model)
    elif engine == "fsdp":
        from torch.distributed.fsdp import fully_shard

        for layer in model:
            if isinstance(layer, nn.Linear):
                fully_shard(layer)
        fully_shard(model)
    found = []
    with OverflowWatch(model) as watch:
        for number in range(2):
            if rank == broken_rank and number == 1:
                model[1].gain = 1e39
            wrapped(torch.ones(3, 4)).square().mean().backward()
            found.append(watch.end_step())
    return found


@pytest.mark.parametrize("engine", ["ddp", "fsdp"])
def test_all_ranks_name_the_rank_and_layer_where_it_began(launch_ranks, engine):
    """Oracle: an overflow planted on rank 1, which the gradients' all-reduce carries to both."""
    one, other = launch_ranks(rank_overflows, 2, 1, engine)
    assert one == other
    fine, found = one
    assert fine is None
    assert (found.step, found.rank, found.phase) == (1, 1, "forward")
    assert (found.module, found.tensor) == ("1", "output")
