"""Flash attention, forward: scores never reach HBM, a running maximum and sum make softmax exact block by block.

Sequences may be of any length: SBUF holds the keys and values of one head, PSUM two blocks of scores. Engines work in
program order, so each block is scored before the one ahead of it is finished: the tensor engine never waits for an
exponential. On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Dao et al., "FlashAttention" (2022); Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018).
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE = 128  # partitions: queries in one block, and keys in one step of the second matmul
BANK = 512  # float32 columns of one bank of PSUM: keys in one matmul
BLOCK_KEYS = 2 * BANK  # keys between two updates of the running maximum
MASKED = -1.0e30  # far below every score, and finite: infinities would turn into NaN in the differences


@nki.jit
def flash_attention(
    query: nl.NkiTensor, key: nl.NkiTensor, value: nl.NkiTensor, scale: float, causal: bool = False
) -> tuple[nl.NkiTensor, nl.NkiTensor]:
    """`softmax(scale * query @ key.T) @ value` for each head.

    Args:
        query: (heads, queries, d_head) in HBM, d_head at most 128.
        key, value: (kv_heads, keys, d_head) in HBM; kv_heads divides heads (grouped-query attention).
        scale: usually `d_head ** -0.5`.
        causal: query i sees keys 0 to i.

    Returns:
        The attention (heads, queries, d_head) in the format of `query`, and the logarithm of each row's sum of
        exponentials (heads, queries, 1) in float32, which the backward pass needs.
    """
    heads, queries, d_head = query.shape
    kv_heads, keys, _ = key.shape
    group = heads // kv_heads
    out = nl.ndarray((heads, queries, d_head), dtype=query.dtype, buffer=nl.shared_hbm)
    log_sum = nl.ndarray((heads, queries, 1), dtype=nl.float32, buffer=nl.shared_hbm)
    mask = causal_mask() if causal else None
    waiting: list[Block] = []  # blocks that are scored and not yet finished

    for head in range(heads):
        if head % group == 0:
            key_t = load_transposed(key[head // group])  # (d_head, keys)
            value_tiles = load_tiles(value[head // group])  # (128, d_head) for each 128 keys

        for q in range(0, queries, TILE):
            rows = min(TILE, queries - q)
            visible = min(keys, q + rows) if causal else keys
            query_t = load_transposed(query[head, q : q + rows, :])  # (d_head, rows)
            tile = QueryTile(rows=rows, out=out[head, q : q + rows, :], log_sum=log_sum[head, q : q + rows, :])
            tile.maximum = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
            tile.total = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
            tile.weighted = nl.ndarray((rows, d_head), dtype=nl.float32, buffer=nl.sbuf)
            nisa.memset(dst=tile.maximum, value=MASKED)
            nisa.memset(dst=tile.total, value=0.0)
            nisa.memset(dst=tile.weighted, value=0.0)

            for k in range(0, visible, BLOCK_KEYS):
                end = min(k + BLOCK_KEYS, visible)
                on_diagonal = q - k if mask is not None and end > q else None
                block = score(tile, query_t, key_t[:, k:end], scale, mask, on_diagonal)
                block.value_tiles = value_tiles[k // TILE :]
                block.last = end == visible
                waiting.append(block)
                if len(waiting) > 1:
                    finish(waiting.pop(0), scale)
    finish(waiting.pop(), scale)
    return out, log_sum


class QueryTile(nl.NKIObject):
    """Up to 128 queries of one head, and what the blocks of keys so far add up to."""

    rows: int
    out: nl.NkiTensor  # (rows, d_head) in HBM
    log_sum: nl.NkiTensor  # (rows, 1) in HBM
    maximum: nl.NkiTensor  # (rows, 1), of the scores
    total: nl.NkiTensor  # (rows, 1), sum of exp(scale * (score - maximum))
    weighted: nl.NkiTensor  # (rows, d_head), the same sum with each term times its value


class Block(nl.NKIObject):
    """One block of keys, scored for one tile of queries."""

    tile: QueryTile
    power: nl.NkiTensor  # (rows, width), exp(scale * (score - maximum))
    total: nl.NkiTensor  # (rows, 1), its sum
    shrink: nl.NkiTensor  # (rows, 1), what the sums so far are worth under the new maximum
    value_tiles: list[nl.NkiTensor]  # (128, d_head) each, from the block's first key on
    last: bool  # of its tile


def score(
    tile: QueryTile,
    query_t: nl.NkiTensor,
    key_t: nl.NkiTensor,
    scale: float,
    mask: nl.NkiTensor | None,
    on_diagonal: int | None,
) -> Block:
    """First half: scores, the new maximum, and the exponentials.

    Args:
        tile: the queries.
        query_t, key_t: (d_head, rows) and (d_head, width).
        scale: of the scores.
        mask: what `causal_mask` returns.
        on_diagonal: column where the tile on the diagonal begins; None where every key is visible.
    """
    rows, width = tile.rows, key_t.shape[1]
    scores = nl.ndarray((rows, width), dtype=nl.float32, buffer=nl.psum)
    for bank in range(0, width, BANK):
        part = slice(bank, min(bank + BANK, width))
        nisa.nc_matmul(dst=scores[:, part], stationary=query_t, moving=key_t[:, part])
    if mask is not None and on_diagonal is not None:
        diagonal = scores[:, on_diagonal:]
        nisa.tensor_tensor(dst=diagonal, data1=diagonal, data2=mask[:rows, : width - on_diagonal], op=nl.add)

    block_max = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    new_max = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    bias = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)  # -scale * new_max
    nisa.tensor_reduce(dst=block_max, op=nl.maximum, data=scores, axis=1)
    nisa.tensor_tensor(dst=new_max, data1=block_max, data2=tile.maximum, op=nl.maximum)
    nisa.tensor_scalar(dst=bias, data=new_max, op0=nl.multiply, operand0=-scale)

    # exp(scale * score - scale * new_max), and each row's sum with it.
    power = nl.ndarray((rows, width), dtype=tile.out.dtype, buffer=nl.sbuf)
    total = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    shrink = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.activation(
        dst=power,
        op=nl.exp,
        data=scores,
        bias=bias,
        scale=scale,
        reduce_op=nl.add,
        reduce_res=total,
        reduce_cmd=nisa.reduce_cmd.reset_reduce,
    )
    nisa.activation(dst=shrink, op=nl.exp, data=tile.maximum, bias=bias, scale=scale)
    tile.maximum = new_max
    return Block(tile=tile, power=power, total=total, shrink=shrink)


def finish(block: Block, scale: float) -> None:
    """Second half: exponentials times values, added to the tile's sums; after the last block, the result."""
    tile = block.tile
    rows, d_head = tile.weighted.shape
    width = block.power.shape[1]

    # The matmul contracts over keys, so they have to lie on the partitions: turned tile by tile, copied four at once.
    weighted = nl.ndarray((rows, d_head), dtype=nl.float32, buffer=nl.psum)
    start = 0
    while start < width:
        depth = min(TILE, width - start)
        count = min(BANK // TILE, (width - start) // depth)  # tiles of this depth that fit into one bank
        turned = nl.ndarray((depth, count, rows), dtype=block.power.dtype, buffer=nl.psum)
        power_t = nl.ndarray((depth, count, rows), dtype=block.power.dtype, buffer=nl.sbuf)
        for step in range(count):
            first = start + step * depth
            nisa.nc_transpose(
                dst=turned[:, step, :], data=block.power[:, first : first + depth], engine=nisa.engine.tensor
            )
        nisa.tensor_copy(dst=power_t, src=turned)
        for step in range(count):
            value_tile = block.value_tiles[start // TILE + step]
            nisa.nc_matmul(dst=weighted, stationary=power_t[:, step, :], moving=value_tile[:depth, :])
        start += count * depth

    for sums, update in ((tile.total, block.total), (tile.weighted, weighted)):
        nisa.scalar_tensor_tensor(
            dst=sums, data=sums, op0=nl.multiply, operand0=block.shrink, op1=nl.add, operand1=update
        )
    if not block.last:
        return

    inverse = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    out_tile = nl.ndarray((rows, d_head), dtype=tile.out.dtype, buffer=nl.sbuf)
    nisa.reciprocal(dst=inverse, data=tile.total)
    nisa.tensor_scalar(dst=out_tile, data=tile.weighted, op0=nl.multiply, operand0=inverse)
    nisa.dma_copy(dst=tile.out, src=out_tile)

    # log(sum exp(scale * score)) = log(total) + scale * maximum
    log_tile = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.activation(dst=log_tile, op=nl.log, data=tile.total)
    nisa.scalar_tensor_tensor(
        dst=log_tile, data=tile.maximum, op0=nl.multiply, operand0=scale, op1=nl.add, operand1=log_tile
    )
    nisa.dma_copy(dst=tile.log_sum, src=log_tile)


def causal_mask() -> nl.NkiTensor:
    """A (128, 128) tile to add to the scores of a tile on the diagonal: 0 where the key is not after the query."""
    zeros = nl.ndarray((TILE, TILE), dtype=nl.float32, buffer=nl.sbuf)
    mask = nl.ndarray((TILE, TILE), dtype=nl.float32, buffer=nl.sbuf)
    nisa.memset(dst=zeros, value=0.0)
    nisa.affine_select(  # keeps zero where query - key >= 0
        dst=mask,
        pattern=[[-1, TILE]],
        channel_multiplier=1,
        on_true_tile=zeros,
        on_false_value=MASKED,
        cmp_op=nl.greater_equal,
    )
    return mask


def load_tiles(matrix: nl.NkiTensor) -> list[nl.NkiTensor]:
    """Loads a (rows, columns) matrix as tiles of 128 rows, the last one shorter where it has to be."""
    rows, columns = matrix.shape
    full = rows // TILE
    tiles = []
    if full:  # one transfer: (full × 128, columns) -> (128, full, columns)
        together = nl.ndarray((TILE, full, columns), dtype=matrix.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=together, src=matrix[: full * TILE, :].reshape_dim(0, (full, TILE)).permute((1, 0, 2)))
        tiles += [together[:, step, :] for step in range(full)]
    if rows > full * TILE:
        rest = nl.ndarray((rows - full * TILE, columns), dtype=matrix.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=rest, src=matrix[full * TILE :, :])
        tiles.append(rest)
    return tiles


def load_transposed(matrix: nl.NkiTensor) -> nl.NkiTensor:
    """Loads a (rows, columns) matrix as one (columns, rows) tile, columns at most 128."""
    rows, columns = matrix.shape
    turned = nl.ndarray((columns, rows), dtype=matrix.dtype, buffer=nl.sbuf)
    for step, tile in enumerate(load_tiles(matrix)):
        height = tile.shape[0]
        in_psum = nl.ndarray((columns, height), dtype=matrix.dtype, buffer=nl.psum)
        nisa.nc_transpose(dst=in_psum, data=tile, engine=nisa.engine.tensor)
        nisa.tensor_copy(dst=turned[:, step * TILE : step * TILE + height], src=in_psum)
    return turned
