"""With error feedback a convex problem is solved, without it it is not. Oracle: the known minimum of the problem."""

import torch

from course_lib.distributed.compression import compression

TARGET = torch.tensor([3.0, 1.0, -2.0, 0.5])


def minimize(scheme, steps, lr):
    """Gradient descent on the mean over 2 ranks of |x - TARGET|^2 / 2 + rank's own pull on x_0, which cancels."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    class Point(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.x = torch.nn.Parameter(torch.zeros(4))

        def forward(self):
            pull = 10.0 if dist.get_rank() == 0 else -10.0
            return 0.5 * (self.x - TARGET).square().sum() + pull * self.x[0]

    model = DistributedDataParallel(Point())
    scheme.attach(model)
    for _ in range(steps):
        model.zero_grad()
        model().backward()
        with torch.no_grad():
            model.module.x -= lr * model.module.x.grad
    return model.module.x.detach().clone()


def test_top_1_of_4_never_moves_what_a_louder_coordinate_drowns_unless_errors_are_fed_back(launch_ranks):
    forgetful, faithful = (
        launch_ranks(minimize, 2, compression("topk", ratio=0.25, error_feedback=kept), 900, 0.004)
        for kept in (False, True)
    )
    assert torch.equal(forgetful[0][1:], torch.zeros(3)), "the pull on x_0 is the largest on both ranks, always"
    torch.testing.assert_close(faithful[0], TARGET, rtol=0, atol=0.2)
    assert torch.equal(faithful[0], faithful[1]), "ranks must stay replicas of each other"


def test_random_1_of_4_is_as_fast_as_all_4_when_errors_are_fed_back(launch_ranks):
    whole, forgetful, faithful = (
        launch_ranks(minimize, 2, scheme, 300, 0.01)[0]
        for scheme in (
            compression("none"),
            compression("randomk", ratio=0.25, error_feedback=False),
            compression("randomk", ratio=0.25),
        )
    )
    torch.testing.assert_close(faithful, whole, rtol=0, atol=0.05)
    assert (forgetful - TARGET).norm() > 5 * (whole - TARGET).norm()
