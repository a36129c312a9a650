"""Bytes of parameters, gradients and optimizer state per device, and how ZeRO's stages divide them."""

from dataclasses import dataclass

from course_lib.arithmetic.errors import (
    ArithmeticInputError,
    as_config,
    check_count,
    check_not_negative,
    check_positive,
)
from course_lib.arithmetic.parameters import count_parameters
from course_lib.catalog import ModelConfig


@dataclass(frozen=True)
class ModelStates:
    """What one device holds before the first token arrives.

    Args:
        parameters_bytes: the working copy of the weights (bf16: 2 bytes each).
        gradients_bytes: one gradient per weight (bf16: 2 bytes each).
        optimizer_bytes: fp32 master weights and Adam's two moments (12 bytes each).
        total_bytes: their sum.
    """

    parameters_bytes: float
    gradients_bytes: float
    optimizer_bytes: float
    total_bytes: float


def model_states(
    config: ModelConfig | str | float,
    *,
    zero_stage: int = 0,
    data_parallel: int = 1,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    expert_parallel: int = 1,
    parameter_bytes: float = 2,
    gradient_bytes: float = 2,
    optimizer_bytes: float = 12,
) -> ModelStates:
    """Bytes of parameters, gradients and optimizer state on one device.

    Tensor and pipeline parallelism divide all parameters evenly here; norms, which every tensor-parallel rank keeps
    whole, are less than a ten-thousandth of a large model. Expert parallelism divides the routed experts only, and
    ZeRO then divides those over the data_parallel / expert_parallel devices that hold the same ones.

    Args:
        config: a shape, the name of one, or a bare number of parameters.
        zero_stage: 0 keeps everything everywhere; 1 divides the optimizer state over the data-parallel devices,
            2 the gradients too, 3 the parameters too.
        data_parallel: devices that see different data.
        tensor_parallel: devices that share each layer.
        pipeline_parallel: devices that share the stack of layers.
        expert_parallel: devices, among the data-parallel ones, that share the routed experts.
        parameter_bytes, gradient_bytes, optimizer_bytes: bytes per parameter. ZeRO's K is `optimizer_bytes`.

    Returns:
        Bytes per device.

    Raises:
        ArithmeticInputError: for a stage other than 0 to 3, or a degree that does not divide what it must.

    Source: Rajbhandari et al. 2020 (arXiv:1910.02054) section 3.1 and Figure 1: (2+2+K)P, 4P + KP/N, 2P + (2+K)P/N
        and (2+2+K)P/N.
    """
    check_choice_of_stage(zero_stage)
    for name, degree in (
        ("data_parallel", data_parallel),
        ("tensor_parallel", tensor_parallel),
        ("pipeline_parallel", pipeline_parallel),
        ("expert_parallel", expert_parallel),
    ):
        check_count(name, degree)
    for name, value in (
        ("parameter_bytes", parameter_bytes),
        ("gradient_bytes", gradient_bytes),
        ("optimizer_bytes", optimizer_bytes),
    ):
        check_not_negative(name, value)
    shared, routed = _parameters(config, expert_parallel, data_parallel)
    split = tensor_parallel * pipeline_parallel
    shared, routed = shared / split, routed / (split * expert_parallel)

    def per_device(bytes_each: float, divided_from_stage: int) -> float:
        if zero_stage < divided_from_stage:
            return bytes_each * (shared + routed)
        return bytes_each * (shared / data_parallel + routed / (data_parallel // expert_parallel))

    parts = per_device(parameter_bytes, 3), per_device(gradient_bytes, 2), per_device(optimizer_bytes, 1)
    return ModelStates(*parts, total_bytes=sum(parts))


def largest_model_parameters(
    device_bytes: float,
    *,
    zero_stage: int = 0,
    data_parallel: int = 1,
    model_parallel: int = 1,
    optimizer_bytes: float = 12,
) -> float:
    """The largest model whose states alone fill a device, activations not counted.

    Args:
        device_bytes: memory of one device.
        zero_stage: 0 to 3.
        data_parallel: devices that see different data.
        model_parallel: tensor- times pipeline-parallel degree.
        optimizer_bytes: K, bytes of optimizer state per parameter.

    Returns:
        Number of parameters.

    Raises:
        ArithmeticInputError: as `model_states`.

    Source: Rajbhandari et al. 2020 (arXiv:1910.02054) Table 2.
    """
    check_positive("device_bytes", device_bytes)
    each = model_states(
        1,
        zero_stage=zero_stage,
        data_parallel=data_parallel,
        tensor_parallel=model_parallel,
        optimizer_bytes=optimizer_bytes,
    )
    return device_bytes / each.total_bytes


def check_choice_of_stage(zero_stage: int) -> None:
    """Raise `ArithmeticInputError` unless `zero_stage` is 0, 1, 2 or 3."""
    if isinstance(zero_stage, bool) or zero_stage not in (0, 1, 2, 3):
        raise ArithmeticInputError.of(
            "zero_stage",
            zero_stage,
            "is not a ZeRO stage",
            "use 0 (none), 1 (optimizer), 2 (and gradients) or 3 (and parameters)",
        )


def _parameters(config: ModelConfig | str | float, expert_parallel: int, data_parallel: int) -> tuple[float, float]:
    """(parameters that every data-parallel device shares, routed experts' parameters)"""
    if isinstance(config, int | float):
        check_positive("config", config, "give the number of parameters, e.g. 7.5e9, or a model's name")
        shared, routed, experts = float(config), 0.0, 0
    else:
        c = as_config(config)
        count = count_parameters(c)
        shared, routed, experts = float(count.total - count.routed_experts), float(count.routed_experts), c.experts
    if expert_parallel > 1 and (experts % expert_parallel or not experts or data_parallel % expert_parallel):
        raise ArithmeticInputError.of(
            "expert_parallel",
            expert_parallel,
            f"must divide experts={experts} and data_parallel={data_parallel}",
            "use a common divisor, or 1 for a dense model",
        )
    return shared, routed
