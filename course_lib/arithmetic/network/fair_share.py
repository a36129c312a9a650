"""How messages that share links share their capacity: max-min fair, the fluid model of network simulators."""

import math
from collections.abc import Mapping, Sequence

# Shares and remaining bytes that differ by less are the same: they come from sums in different order.
_SAME = 1 + 1e-9


def fair_rates(routes: Sequence[Sequence[str]], capacities: Mapping[str, float]) -> list[float]:
    """Max-min fair rates: nobody can get more without somebody who has less, or as little, getting less.

    Progressive filling: all rates grow together until a link is full; its messages keep their rate, the rest grows on.

    Args:
        routes: the links of each message; a message without links is not held back by any.
        capacities: link → bytes per second.

    Returns:
        Bytes per second of each message.

    Source: Bertsekas & Gallager 1992, Data Networks, section 6.5.2.
    """
    rates = [math.inf] * len(routes)
    users: dict[str, list[int]] = {}
    for message, links in enumerate(routes):
        for link in links:
            users.setdefault(link, []).append(message)
    left = {link: capacities[link] for link in users}
    growing = {link: len(messages) for link, messages in users.items()}
    while growing:
        level = min(left[link] / count for link, count in growing.items())
        full = [link for link, count in growing.items() if left[link] / count <= level * _SAME]
        for link in full:
            for message in users[link]:
                if rates[message] != math.inf:
                    continue
                rates[message] = level
                for other in routes[message]:
                    left[other] -= level
                    growing[other] -= 1
        growing = {link: count for link, count in growing.items() if count}
    return rates


def drain_seconds(
    routes: Sequence[Sequence[str]], bytes_: Sequence[float], capacities: Mapping[str, float]
) -> list[float]:
    """When each of several messages that start together has arrived, latency aside.

    Rates are shared anew whenever a message is done.

    Args:
        routes: the links of each message.
        bytes_: the size of each message.
        capacities: link → bytes per second.

    Returns:
        Seconds for each message.

    Source: Casanova, Giersch, Legrand, Quinson & Suter 2014, "Versatile, scalable, and accurate simulation of
        distributed applications and platforms" (SimGrid's flow model).
    """
    done = [0.0] * len(routes)
    left = list(bytes_)
    active = [message for message, size in enumerate(bytes_) if size > 0 and routes[message]]
    clock = 0.0
    while active:
        rates = fair_rates([routes[message] for message in active], capacities)
        needs = [left[message] / rate for message, rate in zip(active, rates, strict=True)]
        step = min(needs)
        clock += step
        still: list[int] = []
        for message, rate, need in zip(active, rates, needs, strict=True):
            # times are compared, not bytes: rate * step may round to 0, and the first message would never be done
            if need <= step * _SAME:
                done[message] = clock
            else:
                left[message] -= rate * step
                still.append(message)
        active = still
    return done
