"""Look-up of model shapes by name, and a constructor for GPT shapes that no catalog holds.

Rows live in `data/models.toml`, each with its source and date.
"""

import re
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING

from course_lib.catalog.errors import CatalogError, UnknownNameError
from course_lib.catalog.loader import load_toml
from course_lib.catalog.model_config import CatalogedModel, ModelConfig

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ModelConfig", "gpt_config", "model", "models"]


def model(name: str) -> ModelConfig:
    """Look a model's shape up.

    Args:
        name: "llama3-8b", "Llama 3 8B", "llama3_8b" or a Hugging Face repository such as
            "meta-llama/Meta-Llama-3-8B": case, space, "-" and "_" do not matter.

    Returns:
        The shape, with the source it was read from.

    Raises:
        UnknownNameError: naming the nearest names.
    """
    found = _index().get(_fold(name))
    if found is None:
        raise UnknownNameError.among("model", name, _rows())
    return found


def models() -> "pd.DataFrame":
    """All model shapes as a frame, one row each, with source and date columns."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in _rows().values()])


def gpt_config(
    *,
    hidden_size: int,
    layers: int,
    heads: int,
    vocab_size: int = 51_200,
    context_length: int = 2_048,
    name: str = "gpt",
) -> ModelConfig:
    """A GPT-2/GPT-3/Megatron shape: LayerNorm, biases everywhere, learned positions, tied embeddings, dropout.

    Args:
        hidden_size: width h.
        layers: blocks l.
        heads: attention heads a; must divide `hidden_size`.
        vocab_size: V; Megatron pads GPT-2's 50,257 to 51,200.
        context_length: rows of the position table.
        name: what to call it.

    Returns:
        The shape; its parameter count is 12 l h^2 (1 + 13/(12h) + (V+s)/(12lh)) + 2h, the last term being the
        final norm that the paper leaves out.

    Raises:
        pydantic.ValidationError: (a ValueError) when the numbers do not fit together.

    Source: Narayanan et al. 2021, arXiv:2104.04473, eq. 2.
    """
    return ModelConfig(
        name=name,
        hidden_size=hidden_size,
        layers=layers,
        heads=heads,
        vocab_size=vocab_size,
        context_length=context_length,
        learned_positions=context_length,
        qkv_bias=True,
        output_bias=True,
        ffn_bias=True,
        tied_embeddings=True,
        dropout=True,
        source="shape given by the caller",
    )


def _fold(name: str) -> str:
    # a dot between digits stays: GPT-3 comes as 1.3b and as 13b
    return re.sub(r"[\s_-]|(?<!\d)\.|\.(?!\d)", "", name.casefold())


@lru_cache(maxsize=1)
def _rows() -> dict[str, CatalogedModel]:
    return load_toml("models.toml", CatalogedModel)


@lru_cache(maxsize=1)
def _index() -> dict[str, CatalogedModel]:
    index: dict[str, CatalogedModel] = {}
    for row in _rows().values():
        for spelling in (row.name, row.title, *row.aliases):
            other = index.setdefault(_fold(spelling), row)
            if other is not row:
                limit, remedy = f"already means {other.name!r}", "drop the alias from one of the two rows"
                raise CatalogError.at("models.toml", f"entry {row.name!r}", "aliases", spelling, limit, remedy)
    return index
