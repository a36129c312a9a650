"""Which functions of the official interface this simulator lacks: worked out from the code, against the official names.

Source: Neuron documentation 2.32, the API pages of `nki`, `nki.language`, `nki.isa` and `nki.collectives`.
"""

from __future__ import annotations

import importlib


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


OFFICIAL: dict[str, tuple[str, ...]] = {
    "": ("jit", "simulate"),
    "language": _names(
        """
        ndarray zeros ones full zeros_like empty_like shared_constant shared_identity_matrix rand random_seed
        sbuf psum hbm private_hbm shared_hbm is_sbuf is_psum is_hbm is_on_chip
        load store load_transpose2d copy matmul transpose broadcast_to expand_dims
        sum max min mean prod var all softmax rms_norm where dropout gather_flattened
        ds affine_range sequential_range static_range dynamic_range fori_loop while_loop
        program_id num_programs program_ndim device_print no_reorder tile_size NKIObject NkiTensor
        abs exp log sqrt rsqrt tanh sigmoid relu gelu gelu_apprx_sigmoid gelu_apprx_tanh gelu_dx gelu_apprx_sigmoid_dx
        silu silu_dx softplus mish erf erf_dx reciprocal sin cos tan arctan ceil floor trunc negative sign square invert
        logical_not add subtract multiply divide maximum minimum abs_max abs_min power equal not_equal less less_equal
        greater greater_equal bitwise_and bitwise_or bitwise_xor left_shift right_shift logical_and logical_or
        logical_xor fmod mod bypass prelu average
        bool_ int8 int16 int32 uint8 uint16 uint32 float16 bfloat16 tfloat32 float32 float8_e4m3 float8_e4m3fn
        float8_e5m2 float8_e8m0fnu float8_e5m2_x4 float8_e4m3fn_x4 float4_e2m1fn_x4
        """
    ),
    "isa": _names(
        """
        dma_copy dma_transpose dma_compute tensor_copy memset tensor_copy_predicated nc_matmul nc_matmul_mx nc_transpose
        activation activation_reduce activate2 exponential tensor_tensor tensor_scalar scalar_tensor_tensor
        tensor_reduce tensor_partition_reduce tensor_tensor_scan tensor_scalar_reduce tensor_scalar_cumulative
        reciprocal
        iota affine_select range_select select_reduce bn_stats bn_aggr local_gather nc_n_gather max8 nc_find_index8
        nc_match_replace8 nc_stream_shuffle dropout sequence_bounds topk nonzero_with_count quantize_mx
        rng rand2 set_rng_seed rand_set_state rand_get_state register_alloc register_move register_load register_store
        sendrecv core_barrier get_nc_version get_nc_sub_version
        engine reduce_cmd dge_mode oob_mode matmul_perf_mode nc_version dma_engine NkiInstruction NkiValidationError
        VirtualRegister tensor_engine vector_engine scalar_engine gpsimd_engine unknown_engine
        """
    ),
    "collectives": _names(
        """
        ReplicaGroup all_reduce all_gather all_gather_v reduce_scatter all_to_all all_to_all_v collective_permute
        collective_permute_implicit collective_permute_implicit_reduce
        collective_permute_implicit_current_processing_rank_id rank_id
        """
    ),
}


def missing() -> dict[str, list[str]]:
    """Module → the official names that it lacks here; modules that lack nothing are left out."""
    found: dict[str, list[str]] = {}
    for module, names in OFFICIAL.items():
        full = f"course_lib.nki.{module}" if module else "course_lib.nki"
        try:
            present = vars(importlib.import_module(full))
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
            present = {}
        if lacking := [name for name in names if name not in present]:
            found[module] = lacking
    return found


def refuse_missing(module: str, name: str) -> None:
    """For a module's `__getattr__`.

    Raises:
        NotImplementedError: for an official name, which is missing if it was looked up this way.
    """
    if name in OFFICIAL.get(module, ()):
        raise NotImplementedError(
            f"nki.{module}.{name} exists on the hardware and is not part of this simulator. "
            "course_lib.nki.unsupported.missing() lists all such names."
        )
