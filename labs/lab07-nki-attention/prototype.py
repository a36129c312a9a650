"""A colleague's attention in three steps, each from HBM to HBM, as a framework without fusion would run it.

It is right, short, and written without a thought for traffic. Scores, their softmax and the mask are matrices of
tokens × tokens in HBM. It is written in NKI's short style, in which `nl.load` and `nl.store` are the transfers.
"""

import nki
import nki.isa as nisa
import nki.language as nl

TILE = 128  # rows of a tile
BLOCK = 512  # columns of one matrix product


@nki.jit
def prototype(query, key, value, mask, sink, scale):
    """Attention of one head.

    Args:
        query, key, value: (tokens, d) in HBM, d at most 128.
        mask: (tokens, tokens) in HBM, added to the scores: 0 where a query may look, very low where not.
        sink: a score that takes part in the softmax and has no value.
        scale: of the scores.
    """
    n, d = query.shape
    scores = nl.ndarray((n, n), dtype=query.dtype, buffer=nl.private_hbm)
    weights = nl.ndarray((n, n), dtype=query.dtype, buffer=nl.private_hbm)
    out = nl.ndarray((n, d), dtype=query.dtype, buffer=nl.shared_hbm)
    tiles = [nl.ds(row, min(TILE, n - row)) for row in range(0, n, TILE)]

    # 1. scale * query @ key.T + mask
    keys = nl.ndarray((d, n), dtype=key.dtype, buffer=nl.sbuf)
    for rows in tiles:
        nisa.tensor_copy(dst=keys[:, rows], src=nl.transpose(nl.load(key[rows, :])))
    for rows in tiles:
        query_t = nl.copy(nl.transpose(nl.load(query[rows, :])))
        for column in range(0, n, BLOCK):
            block = nl.ds(column, min(BLOCK, n - column))
            product = nl.matmul(query_t, keys[:, block], transpose_x=True)
            made = nl.add(nl.multiply(product, scale), nl.load(mask[rows, block]), dtype=query.dtype)
            nl.store(scores[rows, block], made)

    # 2. softmax, with the sink in its maximum and in its sum
    for rows in tiles:
        line = nl.load(scores[rows, :])
        largest = nl.maximum(nl.max(line, axis=1, keepdims=True), sink)
        power = nl.exp(nl.subtract(line, largest))
        total = nl.add(nl.sum(power, axis=1, keepdims=True), nl.exp(nl.subtract(sink, largest)))
        nl.store(weights[rows, :], nl.divide(power, total, dtype=query.dtype))

    # 3. weights @ value
    values = [nl.load(value[rows, :]) for rows in tiles]
    for rows in tiles:
        line = nl.load(weights[rows, :])
        product = nl.ndarray((rows.size, d), dtype=nl.float32, buffer=nl.psum)
        for columns, some in zip(tiles, values, strict=True):
            keys_first = nl.copy(nl.transpose(line[:, columns]))
            nisa.nc_matmul(dst=product, stationary=keys_first, moving=some)  # adds up in PSUM
        nl.store(out[rows, :], nl.copy(product, dtype=out.dtype))
    return out
