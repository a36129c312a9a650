"""Reads the environment variables that NKI documents. Rooms below take their settings as arguments.

Source: Neuron documentation 2.32, "NKI CPU simulator": NKI_SIMULATOR, NKI_PRECISE_FP, NEURON_PLATFORM_TARGET_OVERRIDE;
`nki.language.tile_size`: NKI_DMA_TRANSPOSE_AS_PE_TRANSPOSE.
"""

from __future__ import annotations

import os
from collections.abc import Mapping


def nki_settings(environment: Mapping[str, str] | None = None) -> dict[str, str | bool]:
    """What the environment asks of the NKI simulator.

    Args:
        environment: variables by name; the process's own by default.

    Returns:
        `target` (trn3 when unset, as in the official simulator without a chip), `precise`, `simulator`, and
        `transpose_on_tensor_engine` (which takes a PSUM bank from kernels).

    Raises:
        ValueError: for a flag that is neither 0 nor 1 (nor, where the documentation writes so, true or false).
    """
    variables = os.environ if environment is None else environment
    return {
        "target": variables.get("NEURON_PLATFORM_TARGET_OVERRIDE", "").strip().lower() or "trn3",
        "precise": _flag(variables, "NKI_PRECISE_FP", True),
        "simulator": _flag(variables, "NKI_SIMULATOR", False),
        "transpose_on_tensor_engine": _flag(variables, "NKI_DMA_TRANSPOSE_AS_PE_TRANSPOSE", False),
    }


def _flag(variables: Mapping[str, str], name: str, default: bool) -> bool:
    text = variables.get(name, "").strip()
    text = {"true": "1", "false": "0"}.get(text.lower(), text)
    if text not in ("", "0", "1"):
        raise ValueError(f"{name}={text!r}: set it to 0 or 1, or leave it unset.")
    return default if not text else text == "1"
