"""Router of a mixture of experts: the k experts with the largest scores for each token, and softmax over those k.

The vector engine finds eight maxima at a time; the eight found are struck out before the next round. On a Trainium the
imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Jiang et al., "Mixtral of Experts" (2024); Neuron documentation 2.32, `nki.isa.max8`, `nc_find_index8`,
`nc_match_replace8`.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_TOKENS = 128  # partitions of SBUF
ROUND = 8  # maxima that one instruction finds
STRUCK_OUT = -3.0e38  # below every score; scores have to be finite and larger


@nki.jit
def topk_router(scores: nl.NkiTensor, k: int) -> tuple[nl.NkiTensor, nl.NkiTensor]:
    """Weights and numbers of the k best experts, best first.

    Args:
        scores: (tokens, experts) in HBM.
        k: experts for each token, at most `experts`.

    Returns:
        weights (tokens, k) in float32, whose rows sum to 1, and experts (tokens, k) in uint32.
    """
    tokens, experts = scores.shape
    weights = nl.ndarray((tokens, k), dtype=nl.float32, buffer=nl.shared_hbm)  # (tokens, k)
    chosen = nl.ndarray((tokens, k), dtype=nl.uint32, buffer=nl.shared_hbm)  # (tokens, k)
    rounds = (k + ROUND - 1) // ROUND
    columns = max(experts, rounds * ROUND)  # max8 wants eight candidates or more

    for token in range(0, tokens, TILE_TOKENS):
        height = min(TILE_TOKENS, tokens - token)
        loaded = nl.ndarray((height, experts), dtype=scores.dtype, buffer=nl.sbuf)
        left = nl.ndarray((height, columns), dtype=nl.float32, buffer=nl.sbuf)  # what is still to be found
        nisa.dma_copy(dst=loaded, src=scores[token : token + height, :])
        if columns > experts:
            nisa.memset(dst=left[:, experts:], value=STRUCK_OUT)
        nisa.tensor_copy(dst=left[:, :experts], src=loaded)

        best = nl.ndarray((height, rounds * ROUND), dtype=nl.float32, buffer=nl.sbuf)
        places = nl.ndarray((height, rounds * ROUND), dtype=nl.uint32, buffer=nl.sbuf)
        for number in range(rounds):
            found = slice(number * ROUND, (number + 1) * ROUND)
            nisa.max8(dst=best[:, found], src=left)
            nisa.nc_find_index8(dst=places[:, found], data=left, vals=best[:, found])
            if number + 1 < rounds:
                rest = nl.ndarray((height, columns), dtype=nl.float32, buffer=nl.sbuf)
                nisa.nc_match_replace8(dst=rest, data=left, vals=best[:, found], imm=STRUCK_OUT)
                left = rest

        # Softmax over the k kept: the first column is the maximum.
        negative_max = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        power = nl.ndarray((height, k), dtype=nl.float32, buffer=nl.sbuf)
        total = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        inverse = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        weight_tile = nl.ndarray((height, k), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_scalar(dst=negative_max, data=best[:, 0:1], op0=nl.multiply, operand0=-1.0)
        nisa.activation(
            dst=power,
            op=nl.exp,
            data=best[:, :k],
            bias=negative_max,
            reduce_op=nl.add,
            reduce_res=total,
            reduce_cmd=nisa.reduce_cmd.reset_reduce,
        )
        nisa.reciprocal(dst=inverse, data=total)
        nisa.tensor_scalar(dst=weight_tile, data=power, op0=nl.multiply, operand0=inverse)

        nisa.dma_copy(dst=weights[token : token + height, :], src=weight_tile)
        nisa.dma_copy(dst=chosen[token : token + height, :], src=places[:, :k])
    return weights, chosen
