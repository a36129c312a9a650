"""How many devices a layout of parallelisms takes, and how many tokens one of its steps sees."""

from course_lib.arithmetic.errors import check_count


def world_size(
    *, tensor_parallel: int = 1, context_parallel: int = 1, pipeline_parallel: int = 1, data_parallel: int = 1
) -> int:
    """Devices of a layout: the product of its degrees. Expert parallelism lives inside of data parallelism.

    Args:
        tensor_parallel, context_parallel, pipeline_parallel, data_parallel: degrees of parallelism.

    Returns:
        Number of devices.

    Raises:
        ArithmeticInputError: for a degree below 1.

    Source: Grattafiori et al. 2024 (arXiv:2407.21783) Table 4.
    """
    degrees = {
        "tensor_parallel": tensor_parallel,
        "context_parallel": context_parallel,
        "pipeline_parallel": pipeline_parallel,
        "data_parallel": data_parallel,
    }
    product = 1
    for name, degree in degrees.items():
        check_count(name, degree)
        product *= degree
    return product


def tokens_per_step(*, data_parallel: int, sequences_per_replica: int, sequence_length: int) -> int:
    """Tokens of one optimizer step.

    Args:
        data_parallel: model replicas.
        sequences_per_replica: sequences that each replica sees in a step, all its microbatches together.
        sequence_length: tokens per sequence.

    Returns:
        Tokens.

    Raises:
        ArithmeticInputError: for a number below 1.

    Source: Grattafiori et al. 2024 (arXiv:2407.21783) Table 4.
    """
    check_count("data_parallel", data_parallel)
    check_count("sequences_per_replica", sequences_per_replica)
    check_count("sequence_length", sequence_length)
    return data_parallel * sequences_per_replica * sequence_length
