"""Flash attention, backward: scores are formed again from queries and keys; nothing of size queries × keys is kept.

SBUF holds the queries of one key-value head and their gradients. On a Trainium the imports are `import nki`,
`import nki.language as nl` and `import nki.isa as nisa`.

Source: Dao et al., "FlashAttention" (2022), algorithm 4.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.kernels.attention import TILE, causal_mask, load_tiles, load_transposed


@nki.jit
def flash_attention_backward(
    query: nl.NkiTensor,
    key: nl.NkiTensor,
    value: nl.NkiTensor,
    out: nl.NkiTensor,
    log_sum: nl.NkiTensor,
    d_out: nl.NkiTensor,
    scale: float,
    causal: bool = False,
) -> tuple[nl.NkiTensor, nl.NkiTensor, nl.NkiTensor]:
    """Gradients of `flash_attention`'s first result.

    Args:
        query, key, value, scale, causal: as in `flash_attention`.
        out, log_sum: what it returned, (heads, queries, d_head) and (heads, queries, 1).
        d_out: gradient of `out`, (heads, queries, d_head).

    Returns:
        Gradients of query, key and value, each shaped like it and in its format.
    """
    heads, queries, d_head = query.shape
    kv_heads, keys, _ = key.shape
    group = heads // kv_heads
    d_query = nl.ndarray(query.shape, dtype=query.dtype, buffer=nl.shared_hbm)
    d_key = nl.ndarray(key.shape, dtype=key.dtype, buffer=nl.shared_hbm)
    d_value = nl.ndarray(value.shape, dtype=value.dtype, buffer=nl.shared_hbm)
    mask = causal_mask() if causal else None

    for kv_head in range(kv_heads):
        blocks = []  # what the loop over keys needs of each 128 queries, over all heads that share these keys
        for head in range(kv_head * group, (kv_head + 1) * group):
            for q in range(0, queries, TILE):
                blocks.append(load_queries(head, q, query, out, log_sum, d_out))

        for k in range(0, keys, TILE):
            width = min(TILE, keys - k)
            key_tile = load_tiles(key[kv_head, k : k + width, :])[0]  # (width, d_head)
            key_t = load_transposed(key[kv_head, k : k + width, :])  # (d_head, width)
            value_t = load_transposed(value[kv_head, k : k + width, :])  # (d_head, width)
            sum_key = nl.ndarray((width, d_head), dtype=nl.float32, buffer=nl.psum)
            sum_value = nl.ndarray((width, d_head), dtype=nl.float32, buffer=nl.psum)
            # Keys that no query sees get no gradient.
            seen = [block for block in blocks if not causal or block.q + block.rows > k]

            for block in seen:
                rows = block.rows
                scores = nl.ndarray((rows, width), dtype=nl.float32, buffer=nl.psum)
                nisa.nc_matmul(dst=scores, stationary=block.query_t, moving=key_t)
                if mask is not None and block.q == k:
                    nisa.tensor_tensor(dst=scores, data1=scores, data2=mask[:rows, :width], op=nl.add)

                # probability = exp(scale * score - log_sum), and its gradient d_out @ value.T
                probability = nl.ndarray((rows, width), dtype=query.dtype, buffer=nl.sbuf)
                d_probability = nl.ndarray((rows, width), dtype=nl.float32, buffer=nl.psum)
                nisa.activation(dst=probability, op=nl.exp, data=scores, bias=block.negative_log_sum, scale=scale)
                nisa.nc_matmul(dst=d_probability, stationary=block.d_out_t, moving=value_t)

                # Through softmax: d_score = probability * (d_probability - sum(d_out * out)).
                d_scores = nl.ndarray((rows, width), dtype=query.dtype, buffer=nl.sbuf)
                nisa.scalar_tensor_tensor(
                    dst=d_scores,
                    data=d_probability,
                    op0=nl.subtract,
                    operand0=block.row_dot,
                    op1=nl.multiply,
                    operand1=probability,
                )

                # Sums over queries contract along the partitions as the tiles lie; PSUM adds them up.
                nisa.nc_matmul(dst=sum_value, stationary=probability, moving=block.d_out)
                nisa.nc_matmul(dst=sum_key, stationary=d_scores, moving=block.query)

                # The sum over keys needs them on the partitions.
                turned = nl.ndarray((width, rows), dtype=query.dtype, buffer=nl.psum)
                d_scores_t = nl.ndarray((width, rows), dtype=query.dtype, buffer=nl.sbuf)
                part = nl.ndarray((rows, d_head), dtype=nl.float32, buffer=nl.psum)
                nisa.nc_transpose(dst=turned, data=d_scores, engine=nisa.engine.tensor)
                nisa.tensor_copy(dst=d_scores_t, src=turned)
                nisa.nc_matmul(dst=part, stationary=d_scores_t, moving=key_tile)
                nisa.tensor_tensor(dst=block.d_query, data1=block.d_query, data2=part, op=nl.add)

            key_out = nl.ndarray((width, d_head), dtype=key.dtype, buffer=nl.sbuf)
            value_out = nl.ndarray((width, d_head), dtype=value.dtype, buffer=nl.sbuf)
            if seen:
                nisa.tensor_scalar(dst=key_out, data=sum_key, op0=nl.multiply, operand0=scale)
                nisa.tensor_copy(dst=value_out, src=sum_value)
            else:
                nisa.memset(dst=key_out, value=0.0)
                nisa.memset(dst=value_out, value=0.0)
            nisa.dma_copy(dst=d_key[kv_head, k : k + width, :], src=key_out)
            nisa.dma_copy(dst=d_value[kv_head, k : k + width, :], src=value_out)

        for block in blocks:
            query_out = nl.ndarray((block.rows, d_head), dtype=query.dtype, buffer=nl.sbuf)
            nisa.tensor_scalar(dst=query_out, data=block.d_query, op0=nl.multiply, operand0=scale)
            nisa.dma_copy(dst=d_query[block.head, block.q : block.q + block.rows, :], src=query_out)
    return d_query, d_key, d_value


class QueryBlock(nl.NKIObject):
    """Tiles that belong to up to 128 queries of one head."""

    head: int
    q: int
    rows: int
    query: nl.NkiTensor  # (rows, d_head)
    query_t: nl.NkiTensor  # (d_head, rows)
    d_out: nl.NkiTensor  # (rows, d_head)
    d_out_t: nl.NkiTensor  # (d_head, rows)
    negative_log_sum: nl.NkiTensor  # (rows, 1)
    row_dot: nl.NkiTensor  # (rows, 1), sum(d_out * out)
    d_query: nl.NkiTensor  # (rows, d_head), float32


def load_queries(
    head: int, q: int, query: nl.NkiTensor, out: nl.NkiTensor, log_sum: nl.NkiTensor, d_out: nl.NkiTensor
) -> QueryBlock:
    """Loads what belongs to the queries from `q` on, and forms what does not depend on keys."""
    rows = min(TILE, query.shape[1] - q)
    d_head = query.shape[2]
    part = slice(q, q + rows)
    d_out_tile, out_tile = load_tiles(d_out[head, part, :])[0], load_tiles(out[head, part, :])[0]

    product = nl.ndarray((rows, d_head), dtype=nl.float32, buffer=nl.sbuf)
    row_dot = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_tensor(dst=product, data1=d_out_tile, data2=out_tile, op=nl.multiply)
    nisa.tensor_reduce(dst=row_dot, op=nl.add, data=product, axis=1)

    log_tile = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    negative = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=log_tile, src=log_sum[head, part, :])
    nisa.tensor_scalar(dst=negative, data=log_tile, op0=nl.multiply, operand0=-1.0)

    d_query = nl.ndarray((rows, d_head), dtype=nl.float32, buffer=nl.sbuf)
    nisa.memset(dst=d_query, value=0.0)
    return QueryBlock(
        head=head,
        q=q,
        rows=rows,
        query=load_tiles(query[head, part, :])[0],
        query_t=load_transposed(query[head, part, :]),
        d_out=d_out_tile,
        d_out_t=load_transposed(d_out[head, part, :]),
        negative_log_sum=negative,
        row_dot=row_dot,
        d_query=d_query,
    )
