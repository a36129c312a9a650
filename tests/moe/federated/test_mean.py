"""The mean that a server takes. Oracles: numpy.average, and the range of what the mean is taken of."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.moe.federated import Update, average


@given(st.lists(st.tuples(st.integers(1, 50), st.lists(st.integers(0, 9), min_size=3, max_size=3)), min_size=1))
def test_every_weight_is_the_mean_that_numpy_takes(clients):
    """Oracle: numpy.average with the weights that the docstring states."""
    import numpy as np

    generator = torch.Generator().manual_seed(0)
    values = torch.randn(len(clients), 3, 2, 2, generator=generator)
    updates = [Update({"e.up": v}, n, {"e.": torch.tensor(load)}) for v, (n, load) in zip(values, clients, strict=True)]
    found = average(updates)["e.up"].numpy()
    tokens = np.array([n for n, _ in clients])
    for expert in range(3):
        load = np.array([load[expert] for _, load in clients])
        expected = np.average(values[:, expert].double().numpy(), axis=0, weights=load if load.any() else tokens)
        assert np.allclose(found[expert], expected, atol=1e-6)


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=1, max_size=5), st.integers(1, 99))
def test_a_mean_lies_among_what_it_is_taken_of_and_only_ratios_of_loads_count(loads, factor):
    """Oracle: torch.aminmax over the clients; shares that did not sum to 1 would leave the range."""
    values = torch.randn(len(loads), 3, 4, generator=torch.Generator().manual_seed(1)) + 100

    def averaged(times):
        pairs = zip(values, loads, strict=True)
        return average([Update({"e.up": v}, 7, {"e.": torch.tensor(n) * times}) for v, n in pairs])["e.up"]

    low, high = values.aminmax(dim=0)
    assert bool(((averaged(1) >= low) & (averaged(1) <= high)).all())
    assert torch.equal(averaged(1), averaged(factor))
    same = [Update({"e.up": values[0]}, 7, {"e.": torch.tensor(n)}) for n in loads]
    assert torch.equal(average(same)["e.up"], values[0])
