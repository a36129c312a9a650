"""What LoRA adapts and how strongly."""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.moe.errors import MoEError, check_count, check_not_negative

# what a user names, and the matrices of a block that it means
TARGETS: dict[str, tuple[str, ...]] = {
    "attention": ("attention.wq", "attention.wk", "attention.wv", "attention.wo"),
    "router": ("router",),
    "experts": ("experts.up", "experts.down"),
}
MATRICES = tuple(matrix for matrices in TARGETS.values() for matrix in matrices)


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """Low-rank adapters: W x becomes W x + scale * B (A x), with B starting at 0.

    Args:
        rank: rows of A (r); each expert has an A and a B of its own.
        alpha: the scale is alpha / rank, or alpha / sqrt(rank) with `rank_stabilized`; 0 for twice the rank.
        targets: any of "attention", "router", "experts" (shared experts too), or single matrices: "attention.wq",
            "attention.wk", "attention.wv", "attention.wo", "experts.up", "experts.down".
        rank_stabilized: rsLoRA.
        seed: of A's initial weights, which depend on nothing else: all ranks start alike.

    Raises:
        MoEError: for a value outside of its domain.

    Source: Hu et al. 2021 (arXiv:2106.09685) section 4.1; Kalajdzievski 2023 (arXiv:2312.03732) for rsLoRA.
    """

    rank: int = 8
    alpha: float = 0.0
    targets: tuple[str, ...] = ("experts", "router", "attention")
    rank_stabilized: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("rank", self.rank)
        check_count("seed", self.seed, minimum=0)
        check_not_negative("alpha", self.alpha, "give one such as 16, or 0 for twice the rank")
        given: object = self.targets
        if isinstance(given, str) or not self.targets:
            raise MoEError.of("targets", given, "must be some names", 'give ("experts", "attention")')
        for target in self.targets:
            if target not in TARGETS and target not in MATRICES:
                known = ", ".join(dict.fromkeys([*TARGETS, *MATRICES]))
                raise MoEError.of("targets", target, "is not known", f"use some of {known}")

    @property
    def scale(self) -> float:
        """What B A x is multiplied by."""
        return (self.alpha or 2.0 * self.rank) / (self.rank**0.5 if self.rank_stabilized else self.rank)

    @property
    def matrices(self) -> tuple[str, ...]:
        """The matrices of a block that the targets name, each once."""
        return tuple(dict.fromkeys(m for target in self.targets for m in TARGETS.get(target, (target,))))
