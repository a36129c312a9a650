"""Decoding a mixture of experts: against Hugging Face, in few bits, with experts on disk, with a draft of itself.

Every side has the same weights in one process. What is no time (bytes, perplexities, hit rates) stands in the same
columns. The model for perplexities and for the expert cache is first trained for `TRAINED_SECONDS` on the shipped text.
"""

from __future__ import annotations

import functools
import tempfile
import time

import torch

from benchmarks.ratio import Ratio, compare
from course_lib.models import language_model_loss
from course_lib.moe import MoEConfig, MoEModel, evaluate, load_corpus, moe_config, moe_layers
from course_lib.moe.inference import CompiledDecoder, generate, generate_speculatively, memory_report, offload, quantize

NEW_TOKENS = 24
TRAINED_SECONDS = 120
# 107 and 114 million parameters, 64 experts: deep and narrow with few experts a token, and as OLMoE is, with 8
SHAPES = {
    "64 experts top-2, 16 layers": {"layers": 16, "hidden_size": 256, "experts_per_token": 2},
    "64 experts top-8, 8 layers": {"layers": 8, "hidden_size": 512, "experts_per_token": 8},
}


def measure() -> list[Ratio]:
    """All figures of the inference part."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        decoding = [row for name, options in SHAPES.items() for row in _decoding(name, options)]
        return [*decoding, *_few_bits(), *_experts_on_disk(), _speculation()]
    finally:
        torch.set_num_threads(threads)


def _decoding(name: str, options: dict[str, int]) -> list[Ratio]:
    shape = {"vocab_size": 4096, "context_length": 256, "experts": 64, "expert_hidden_size": 128, **options}
    ours = MoEModel(moe_config(heads=options["hidden_size"] // 64, **shape)).eval()
    theirs = hugging_face(ours)
    prompt = torch.randint(0, 4096, (1, 32), generator=torch.Generator().manual_seed(0))
    compiled = CompiledDecoder(ours)
    text = prompt[0].tolist()

    def peer() -> list[int]:
        out = theirs.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW_TOKENS, do_sample=False
        )
        return out[0, len(text) :].tolist()

    if not generate(ours, text, NEW_TOKENS) == compiled.generate(text, NEW_TOKENS) == peer():
        raise RuntimeError(f"{name}: the three texts differ, so their times can't be compared")
    rows = []
    for how, run in (("generate", functools.partial(generate, ours)), ("CompiledDecoder", compiled.generate)):
        row = compare("", functools.partial(run, text, NEW_TOKENS), "transformers generate", peer)
        per_token = (row.our_seconds / NEW_TOKENS, row.peer_seconds / NEW_TOKENS)
        rows.append(Ratio(f"one token by {how}, {name}", row.peer, *per_token, row.ratio))
    return rows


@torch.no_grad()
def hugging_face(ours: MoEModel) -> torch.nn.Module:
    """`MixtralForCausalLM` with a model's weights, as transformers ships it."""
    from transformers import MixtralConfig, MixtralForCausalLM

    c = ours.config
    theirs = MixtralForCausalLM(
        MixtralConfig(
            vocab_size=c.vocab_size,
            hidden_size=c.hidden_size,
            intermediate_size=c.expert_hidden_size,
            num_hidden_layers=c.layers,
            num_attention_heads=c.heads,
            num_key_value_heads=c.kv_heads,
            num_local_experts=c.experts,
            num_experts_per_tok=c.experts_per_token,
            max_position_embeddings=c.context_length,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    ).eval()
    theirs.model.embed_tokens.weight.copy_(ours.tok_embeddings.weight)
    theirs.lm_head.weight.copy_(ours.output.weight)
    for mine, other in zip(ours.layers.values(), theirs.model.layers, strict=True):
        for name, twin in {"wq": "q_proj", "wk": "k_proj", "wv": "v_proj", "wo": "o_proj"}.items():
            getattr(other.self_attn, twin).weight.copy_(getattr(mine.attention, name).weight)
        other.mlp.gate.weight.copy_(mine.feed_forward.router.weight)
        other.mlp.experts.gate_up_proj.copy_(mine.feed_forward.experts.up)
        other.mlp.experts.down_proj.copy_(mine.feed_forward.experts.down)
    return theirs


@functools.cache
def _trained_state() -> tuple[MoEModel, dict[str, torch.Tensor]]:
    """A model of 16 experts after `TRAINED_SECONDS` on the shipped text, and its weights."""
    torch.manual_seed(0)
    corpus = load_corpus()
    shape = moe_config(
        layers=4,
        hidden_size=128,
        vocab_size=corpus.vocab_size,
        context_length=256,
        experts=16,
        experts_per_token=2,
        expert_hidden_size=256,
    )
    model = MoEModel(shape, MoEConfig.of(shape, balance_loss=1e-2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    batches = corpus.batches("train", 8, 128)
    ends, step = time.perf_counter() + TRAINED_SECONDS, 0
    while time.perf_counter() < ends:
        batch = batches[step]
        loss = language_model_loss(model(batch.tokens), batch.targets)
        loss = loss + sum(layer.auxiliary_loss() for layer in moe_layers(model))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
    return model.eval(), {name: tensor.clone() for name, tensor in model.state_dict().items()}


def trained() -> MoEModel:
    """A fresh copy of the trained model."""
    model, state = _trained_state()
    copy = MoEModel(model.config, model.moe)
    copy.load_state_dict(state)
    return copy.eval()


def _few_bits() -> list[Ratio]:
    windows = load_corpus().windows("validation", 128, most=8)
    whole = evaluate(trained().bfloat16(), windows).perplexity
    rows = []
    for scheme in ("int8", "int4", "nf4"):
        model = quantize(trained(), scheme, group_size=64)
        memory = memory_report(model)
        share = memory.packed_share
        packed = evaluate(model, windows).perplexity
        rows += [
            Ratio(f"{scheme} weights, MB", "bf16", memory.packed / 1e6, memory.packed_in_bf16 / 1e6, share),
            Ratio(f"{scheme} perplexity", "bf16", packed, whole, packed / whole),
        ]
    return rows


def _experts_on_disk() -> list[Ratio]:
    """Seconds for a token with a quarter of the experts in memory, over seconds with all: 1.67 is 60 % of the speed."""
    corpus = load_corpus()
    prompt = corpus.windows("validation", 32, most=1).tokens[0].tolist()
    memory, rows = trained(), []
    experts = sum(layer.config.experts for layer in moe_layers(memory))
    for policy, prefetch, forget in (
        ("lru", None, False),
        ("lfu", None, False),
        ("lru", "router", False),
        ("lru", "coactivation", False),
        ("lru", "router", True),
        ("lfu", None, True),
    ):
        with (
            tempfile.TemporaryDirectory() as folder,
            offload(
                trained(), folder, capacity=experts // 4, policy=policy, prefetch=prefetch, forget=forget
            ) as offloaded,
        ):
            row = compare(
                "",
                functools.partial(generate, offloaded.model, prompt, 64, temperature=0.8),
                "all in memory",
                functools.partial(generate, memory, prompt, 64, temperature=0.8),
            )
            reads = "page cache dropped" if forget else "page cache serves reads"
            guessed = f" + {prefetch}" if prefetch else ""
            what = f"quarter of experts, {policy}{guessed}, {offloaded.hit_rate:.0%} hits, {reads}"
            rows.append(Ratio(what, row.peer, row.our_seconds / 64, row.peer_seconds / 64, row.ratio))
    return rows


def _speculation() -> Ratio:
    model = trained()
    prompt = load_corpus().windows("validation", 32, most=1).tokens[0].tolist()
    told = generate_speculatively(model, prompt, 64)
    row = compare(
        f"speculative decoding, top-1 draft, {told.acceptance:.0%} accepted",
        lambda: generate_speculatively(model, prompt, 64),
        "greedy decoding",
        lambda: generate(model, prompt, 64),
    )
    return Ratio(row.what, row.peer, row.our_seconds / 64, row.peer_seconds / 64, row.ratio)
