"""The server under eight clients against transformers' generate with the same weights, alone and in padded batches.

Requests differ in length, as they do in life: a padded batch runs until its longest is done, while continuous batching
gives each place to the next request as soon as it is free. Our side pays for HTTP, streams and text besides.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from benchmarks.ratio import Ratio, compare, one_thread
from course_lib.moe import BatchedDecoder, MoEModel, load_tokenizer, moe_config, save_checkpoint
from course_lib.serving import ServedModel, create_app, load_test, serving

SLOTS = 8
LENGTHS = [4 + 8 * (i % 6) for i in range(16)]  # new tokens of each request: 4 to 44
PROMPT = 24


def measure() -> list[Ratio]:
    """16 greedy requests on one thread: 4 layers of 8 experts, 256 wide, 5 million parameters."""
    from transformers import MixtralForCausalLM

    shipped = load_tokenizer()
    shape = moe_config(layers=4, hidden_size=256, vocab_size=shipped.vocab_size, context_length=128)
    ours = MoEModel(shape, seed=1).eval()
    prompts = torch.randint(2, shipped.vocab_size, (len(LENGTHS), PROMPT), generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder, one_thread():
        theirs = MixtralForCausalLM.from_pretrained(save_checkpoint(ours, Path(folder) / "model")).eval()

        def generate(batch: int) -> None:
            for start in range(0, len(LENGTHS), batch):
                some = prompts[start : start + batch]
                longest = max(LENGTHS[start : start + batch])
                theirs.generate(
                    some,
                    attention_mask=torch.ones_like(some),
                    min_new_tokens=longest,
                    max_new_tokens=longest,
                    do_sample=False,
                    pad_token_id=0,
                )

        served = ServedModel("bench", BatchedDecoder(ours, SLOTS), shipped.core)
        with serving(create_app(served)) as url:

            def serve() -> None:
                found = load_test(
                    url,
                    requests=len(LENGTHS),
                    concurrency=len(LENGTHS),
                    prompts=[row.tolist() for row in prompts],
                    max_tokens=LENGTHS,
                    temperature=0.0,
                )
                if found.generated_tokens != sum(LENGTHS):
                    raise RuntimeError(f"{found.generated_tokens} tokens instead of {sum(LENGTHS)}: {found.errors}")

            return [
                compare("server, 8 slots", serve, "transformers generate, one by one", lambda: generate(1)),
                compare("server, 8 slots", serve, "transformers generate, batches of 8", lambda: generate(SLOTS)),
            ]
