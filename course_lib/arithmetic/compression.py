"""How much smaller gradients get when they are sent as low-rank factors."""

from collections.abc import Sequence

from course_lib.arithmetic.errors import check_count


def low_rank_compression(rows: int, columns: int, rank: int) -> float:
    """Size of a gradient matrix over the size of its two factors.

    Args:
        rows, columns: the gradient as a matrix; a convolution is (outputs, inputs * kernel * kernel).
        rank: columns of each factor, r.

    Returns:
        n m / (r (n + m)). Below 1 the factors would be larger than the matrix.

    Raises:
        ArithmeticInputError: for a number below 1.

    Source: Vogels et al. 2019 (arXiv:1905.13727) section 3 and appendix F.
    """
    for name, value in (("rows", rows), ("columns", columns), ("rank", rank)):
        check_count(name, value)
    return rows * columns / (rank * (rows + columns))


def model_compression(matrices: Sequence[tuple[int, int]], vector_elements: int, rank: int) -> float:
    """Size of all gradients over the size of what is sent: factors of the matrices, vectors as they are.

    Args:
        matrices: (rows, columns) of each gradient matrix.
        vector_elements: elements of all biases and norms together, which are not compressed.
        rank: columns of each factor; a matrix smaller than its factors is sent whole.

    Returns:
        The ratio. It stays below the best matrix's and does not halve when the rank doubles, because of the vectors.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: Vogels et al. 2019 (arXiv:1905.13727) appendix F.
    """
    check_count("vector_elements", vector_elements, minimum=0)
    whole, sent = vector_elements, float(vector_elements)
    for rows, columns in matrices:
        whole += rows * columns
        sent += rows * columns / max(1.0, low_rank_compression(rows, columns, rank))
    check_count("elements", whole)
    return whole / sent
