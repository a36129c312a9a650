"""Continuous batching. Oracle: the model's full forward pass (torch, no cache) for the text; counts for the order."""

import threading

import pytest
import torch

from course_lib.moe import BatchedDecoder, generate
from course_lib.serving import Limits, Scheduler, ServingError
from course_lib.serving.jobs import Ended, Failed
from tests.serving.conftest import POISON, wait_until

LONG = [5 + i % 200 for i in range(120)]


def greedy(model, prompt, count):
    """The likeliest tokens by full forward passes of the plain model."""
    tokens = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[len(prompt) :]


class Watched(BatchedDecoder):
    """Notes what is read and stepped."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log = []

    def read(self, slot, tokens, **options):
        self.log.append(("read", slot, tokens))
        return super().read(slot, tokens, **options)

    def step(self):
        emitted = super().step()
        self.log.append(("step", tuple(emitted)))
        return emitted


def run(scheduler, jobs):
    """Submit before the thread starts, so that the order of events doesn't hang on the clock; wait for all."""
    scheduler.submit(jobs)
    scheduler.start()
    scheduler.stop()
    return [job.sink.last for job in jobs]


def test_greedy_text_is_the_models_whatever_else_is_in_the_batch(model, job):
    """Oracle: argmax of the model's full forward pass."""
    prompts = [LONG[: 3 + 13 * i] for i in range(6)]
    jobs = [job(prompt, 5 + i) for i, prompt in enumerate(prompts)]
    neighbors = [job([7 + i], 20, temperature=1.5, seed=i) for i in range(3)]
    run(Scheduler(BatchedDecoder(model, 4), Limits(prefill_tokens=10)), [*jobs[:3], *neighbors, *jobs[3:]])
    for i, (prompt, one) in enumerate(zip(prompts, jobs, strict=True)):
        assert one.sink.tokens == greedy(model, prompt, 5 + i) == generate(model, prompt, 5 + i)


def test_a_seed_gives_the_same_text_alone_and_in_a_crowd(model, job):
    """Oracle: generate with the same seed, alone."""
    alike = {"temperature": 1.0, "top_p": 0.9, "seed": 11}
    jobs = [job([9, 8, 7], 12, **(alike | {"seed": 11 + i % 2})) for i in range(6)]
    run(Scheduler(BatchedDecoder(model, 3)), jobs)
    wanted = [generate(model, [9, 8, 7], 12, **(alike | {"seed": seed})) for seed in (11, 12)]
    assert [one.sink.tokens for one in jobs] == wanted * 3
    assert wanted[0] != wanted[1]


def test_between_two_steps_at_most_so_many_prompt_tokens_are_read_and_the_running_sequence_steps_on(model, job):
    """Oracle: the sum of what was read between steps, Limits.prefill_tokens at most."""
    decoder = Watched(model, 4)
    run(Scheduler(decoder, Limits(prefill_tokens=16)), [job([5], 30), job(LONG, 4), job(LONG, 4)])
    first_step = decoder.log.index(("step", (0,)))
    budget, reads = 0, 0
    for what, slot, *tokens in decoder.log[first_step:]:
        if what == "step":
            assert 0 in slot or reads >= 2 * len(LONG) // 16, "the running sequence was held up"
            budget = 0
        else:
            budget, reads = budget + tokens[0], reads + 1
            assert budget <= 16
    assert reads >= 2 * len(LONG) // 16


def test_who_comes_first_is_admitted_first_even_if_a_shorter_one_would_fit(model, job):
    """Oracle: first come, first served: with room for one long sequence, the short one behind it waits."""
    decoder = BatchedDecoder(model, 4, max_tokens=144)
    order = []
    jobs = [job(LONG, 8), job(LONG, 8), job([5, 6], 2)]
    for number, one in enumerate(jobs):
        listener = one.sink
        one.sink = lambda event, number=number, listener=listener: (order.append((number, event)), listener(event))
    scheduler = Scheduler(decoder)
    scheduler.submit(jobs)
    scheduler.start()
    scheduler.stop()
    begun = list(dict.fromkeys(number for number, _ in order))
    assert begun == [0, 1, 2]


def test_a_queue_that_is_full_refuses_the_whole_request_and_says_when_to_come_back(model, job):
    """Oracle: 2 slots and 3 places hold 5, so the next is one too many; RFC 9110 for Retry-After in whole seconds."""
    scheduler = Scheduler(BatchedDecoder(model, 2), Limits(queue=3))
    taken = [job([5], 2) for _ in range(5)]
    scheduler.submit(taken)
    with pytest.raises(ServingError, match="no room for 2 more") as caught:
        scheduler.submit([job([5], 2), job([5], 2)])
    assert caught.value.status == 429
    assert int(caught.value.headers()["Retry-After"]) >= 1
    scheduler.start()
    scheduler.stop()
    assert all(isinstance(one.sink.last, Ended) for one in taken)


def blowing(module, when):
    """Breaks the model's own forward pass where `when(tokens)` says so, as long as the hook is there."""

    def fuse(module, inputs):
        if when(inputs[0]):
            raise RuntimeError("a cable came loose")

    return module.register_forward_pre_hook(fuse)


def test_a_step_that_raises_ends_only_the_sequence_at_fault(model, job):
    """Oracle: a model that can't embed one token, which one sequence's text comes to after some steps."""
    texts = [greedy(model, [5 + i, 6], 8) for i in range(3)]
    bad = next(token for token in texts[1][2:6] if token not in {*texts[0], *texts[2]})
    jobs = [job([5 + i, 6], 8) for i in range(3)]
    scheduler = Scheduler(BatchedDecoder(model, 3))
    hook = blowing(model.tok_embeddings, lambda tokens: bool((tokens == bad).any()))
    try:
        ends = run(scheduler, jobs)
    finally:
        hook.remove()
    assert [type(end) for end in ends] == [Ended, Failed, Ended]
    assert ends[1].error.status == 500
    assert "a cable came loose" in str(ends[1].error)
    assert [jobs[0].sink.tokens, jobs[2].sink.tokens] == [texts[0], texts[2]]
    assert scheduler.health().failed_steps == 1
    assert "a cable came loose" in scheduler.health().last_failure
    assert scheduler.decoder.free_slots == 3


def test_a_model_that_is_broken_fails_its_batch_and_serves_the_next_when_it_is_mended(model, job):
    """Oracle: every step with one token a sequence raises until the first batch is gone, none after."""
    decoder = BatchedDecoder(model, 2)
    jobs = [job([5, 6], 6) for _ in range(4)]
    hook = blowing(model.tok_embeddings, lambda tokens: tokens.shape[1] == 1 and not jobs[1].sink.over.is_set())
    scheduler = Scheduler(decoder)
    try:
        ends = run(scheduler, jobs)
    finally:
        hook.remove()
    assert [type(end) for end in ends] == [Failed, Failed, Ended, Ended]
    assert decoder.free_slots == 2


def test_the_health_is_degraded_until_a_step_goes_well_again(model, job):
    """Oracle: one broken prompt, then a good one."""
    scheduler = Scheduler(BatchedDecoder(model, 1))
    scheduler.start()
    for prompt, status in (([5], "ok"), ([POISON], "degraded"), ([5], "ok")):
        one = job(prompt, 2)
        scheduler.submit([one])
        assert one.sink.last
        assert scheduler.health().status == status
    assert scheduler.health().failed_steps == 1
    scheduler.stop()


def test_a_prompt_that_breaks_the_model_ends_its_own_sequence_only(model, job):
    """Oracle: NaN in the embedding of one token, which only one prompt holds."""
    jobs = [job([5, 6], 6), job([5, POISON], 6), job([7], 6)]
    ends = run(Scheduler(BatchedDecoder(model, 3)), jobs)
    assert [type(end) for end in ends] == [Ended, Failed, Ended]
    assert "finite" in str(ends[1].error)
    assert jobs[0].sink.tokens == greedy(model, [5, 6], 6)


def test_logits_that_are_not_finite_end_their_own_sequence_only(model, job):
    """Oracle: NaN written into one row of the model's logits, from its third token on."""

    def spoil(module, inputs, logits):
        if len(logits) == 2 and jobs[1].generated == 3:
            logits[1] = float("nan")

    jobs = [job([5, 6], 6), job([8, 9], 6)]
    hook = model.output.register_forward_hook(spoil)
    try:
        ends = run(Scheduler(BatchedDecoder(model, 2)), jobs)
    finally:
        hook.remove()
    assert [type(end) for end in ends] == [Ended, Failed]
    assert "not finite after 3 tokens" in str(ends[1].error)
    assert jobs[0].sink.tokens == greedy(model, [5, 6], 6)


def test_a_sequence_whose_time_is_up_ends_with_504_and_frees_its_slot(model, job):
    """Oracle: 0 seconds are over before the first step; RFC 9110 section 15.6.5 for the status."""
    decoder = BatchedDecoder(model, 1)
    late, other = job([5], 200, seconds=0.0), job([6], 4)
    ends = run(Scheduler(decoder), [late, other])
    assert ends[0].error.status == 504
    assert isinstance(ends[1], Ended)
    assert decoder.free_slots == 1


def test_a_cancelled_sequence_leaves_its_slot_to_the_next(model, job):
    """Oracle: with one slot, the second can only end if the first has left."""
    decoder = BatchedDecoder(model, 1)
    scheduler = Scheduler(decoder)
    endless, waiting, second = job([5], 250), job([5], 250), job([6], 3)
    scheduler.submit([endless, waiting, second])
    scheduler.start()
    assert wait_until(lambda: len(endless.sink.events) > 2)
    scheduler.cancel([endless, waiting])
    assert isinstance(second.sink.last, Ended)
    assert not endless.sink.over.is_set()
    scheduler.stop()
    assert decoder.free_slots == 1


def test_no_tokens_asked_reads_the_prompt_and_stops(model, job):
    """Oracle: OpenAI's max_tokens=0, used to score a prompt."""
    (end,) = run(Scheduler(BatchedDecoder(model, 1)), [job(LONG, 0)])
    assert end == Ended("length", 0)


def test_an_end_token_ends_the_text_and_is_not_part_of_it(model, job):
    """Oracle: the third token of the greedy text, made the end token."""
    text = greedy(model, [5, 6, 7], 8)
    end = next(i for i, token in enumerate(text) if token not in text[:i] and i >= 2)
    one = job([5, 6, 7], 8, stop=(text[end],))
    assert run(Scheduler(BatchedDecoder(model, 1)), [one]) == [Ended("stop", end + 1)]
    assert one.sink.tokens == text[:end]


@pytest.mark.parametrize("finish", [True, False])
def test_stopping_finishes_what_was_taken_on_or_says_that_it_does_not(model, job, finish):
    """Oracle: an end for each job, and the thread is gone."""
    scheduler = Scheduler(BatchedDecoder(model, 2))
    jobs = [job([5, i], 40) for i in range(6)]
    scheduler.submit(jobs)
    scheduler.start()
    scheduler.stop(finish=finish)
    ends = [one.sink.last for one in jobs]
    if finish:
        assert all(isinstance(end, Ended) for end in ends)
    else:
        assert {end.error.status for end in ends if isinstance(end, Failed)} == {503}
    with pytest.raises(ServingError) as caught:
        scheduler.submit([job([5], 1)])
    assert caught.value.status == 503
    assert "scheduler" not in {thread.name for thread in threading.enumerate()}


def test_a_scheduler_that_dies_tells_every_sequence_and_takes_no_more(model, job):
    """Oracle: a decoder that can't free a slot, which no request can be blamed for."""

    class Broken(BatchedDecoder):
        def release(self, slot):
            raise OSError("no way out")

    scheduler = Scheduler(Broken(model, 2))
    jobs = [job([5], 2) for _ in range(4)]
    scheduler.submit(jobs)
    scheduler.start()
    assert all(isinstance(one.sink.last, Failed) for one in jobs)
    assert wait_until(lambda: scheduler.health().status == "dead")
    with pytest.raises(ServingError, match="dead"):
        scheduler.submit([job([5], 1)])
