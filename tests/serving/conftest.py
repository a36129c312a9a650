"""A small model with random weights, a byte-level tokenizer made here, and a real server on loopback around them."""

import threading
import time
from collections.abc import Callable

import httpx
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from course_lib.moe import BatchedDecoder, MoEModel, Sampling, moe_config
from course_lib.serving import Limits, ServedModel, create_app, serving
from course_lib.serving.jobs import Ended, Failed, Job, Piece, PromptRead
from course_lib.serving.transcript import Transcript

VOCABULARY, CONTEXT = 320, 256
POISON = VOCABULARY - 1  # no text encodes to it; its embedding is NaN, so that a prompt with it breaks its sequence


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=310, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["the cat sat on the mat, über die Brücke, 日本語"] * 4, trainer)
    return made


@pytest.fixture(scope="session")
def model() -> MoEModel:
    torch.set_num_threads(1)
    made = MoEModel(moe_config(layers=2, hidden_size=32, vocab_size=VOCABULARY, context_length=CONTEXT), seed=3)
    with torch.no_grad():
        for parameter in made.parameters():  # larger weights make the choice of a token a clear one
            if parameter.dim() > 1:
                parameter.mul_(8)
        made.tok_embeddings.weight[POISON] = float("nan")
    # nor does any text come to it, sampled or not: what breaks is what a test breaks
    made.output.register_forward_hook(lambda module, inputs, out: out.index_fill(-1, torch.tensor([POISON]), -1e4))
    return made.eval()


@pytest.fixture
def serve(model: MoEModel, tokenizer: Tokenizer):
    """Starts servers: `serve(slots=..., queue=...)` gives a client; all of them end with the test."""
    with_open = []

    def start(slots: int = 4, end_tokens: tuple[int, ...] = (), cache_tokens: int | None = None, **limits):
        served = ServedModel("tiny", BatchedDecoder(model, slots, cache_tokens), tokenizer, end_tokens)
        context = serving(create_app(served, Limits(**limits)))
        client = httpx.Client(base_url=context.__enter__(), timeout=60.0, verify=False)
        with_open.append((context, client))
        return client

    yield start
    for context, client in with_open:
        client.close()
        context.__exit__(None, None, None)


class Listener:
    """Collects one job's events."""

    def __init__(self) -> None:
        self.events: list[PromptRead | Piece | Ended | Failed] = []
        self.over = threading.Event()
        self.times: list[float] = []

    def __call__(self, event: PromptRead | Piece | Ended | Failed) -> None:
        self.events.append(event)
        self.times.append(time.monotonic())
        if isinstance(event, Ended | Failed):
            self.over.set()

    @property
    def last(self) -> PromptRead | Piece | Ended | Failed:
        assert self.over.wait(60), "the job has not ended"
        return self.events[-1]

    @property
    def tokens(self) -> list[int]:
        assert isinstance(self.last, Ended), self.last
        return [one.token for event in self.events if isinstance(event, Piece) for one in event.records]


@pytest.fixture
def job(tokenizer: Tokenizer) -> Callable[..., Job]:
    """Makes jobs whose sink is a `Listener`; with log probabilities, so that pieces tell their tokens."""

    def make(prompt, max_tokens: int = 8, *, stop_texts=(), seconds: float = 60.0, **sampling) -> Job:
        transcript = Transcript(tokenizer, stop_texts, prompt)
        return Job(prompt, max_tokens, Sampling(**sampling), transcript, Listener(), likeliest=0, seconds=seconds)

    return make


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
