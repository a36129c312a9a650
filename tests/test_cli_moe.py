"""`course moe`. Oracle: real processes as a user would start them, and Hugging Face transformers on the same files."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import torch
from click.testing import CliRunner

from course_lib.cli_moe import moe

COURSE = str(Path(sys.executable).with_name("course"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("serve",), ["FOLDER", "--untrained"]),
        (("serve", "nowhere"), ["nowhere", "config.json"]),
        (("serve", "nowhere", "--untrained"), ["either"]),
        (("serve", "--untrained", "--queue", "0"), ["queue=0"]),
        (("serve", "--untrained", "--slots", "0"), ["max_sequences=0"]),
        (("serve", "--untrained", "--port", "70000"), ["70000"]),
        (("serve", "--untrained", "--host", "192.0.2.1"), ["192.0.2.1"]),
        (("serve", "--untrained", "--device", "tpu"), ["'tpu' is not known"]),
        (("load-test", "http://127.0.0.1:1"), ["no server"]),
        (("load-test", "http://127.0.0.1:1", "--rate", "-1"), ["rate=-1"]),
        (("generate", "nowhere", "Once"), ["nowhere"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_an_error_is_one_line_that_names_the_remedy(words, told):
    """Oracle: the command's own output."""
    done = CliRunner().invoke(moe, words)
    assert done.exit_code == 1, done.output
    assert len(done.output.strip().splitlines()) == 1
    assert all(word in done.output for word in [*told, "Remedy"]), done.output


@pytest.mark.parametrize("command", ["serve", "load-test", "generate"])
def test_every_command_has_help_with_an_example(command):
    """Oracle: the house's rule."""
    assert f"course moe {command}" in CliRunner().invoke(moe, [command, "--help"]).output.partition("Example")[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small model with random weights and the shipped tokenizer, saved as transformers would."""
    from course_lib.moe import MoEModel, load_tokenizer, moe_config, save_checkpoint

    tokenizer = load_tokenizer()
    model = MoEModel(moe_config(layers=2, hidden_size=32, vocab_size=tokenizer.vocab_size, context_length=256), seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)  # as in trained models, the likeliest token is clearly so
    folder = save_checkpoint(model, tmp_path_factory.mktemp("saved") / "small")
    (folder / "tokenizer.json").write_text(tokenizer.to_json())
    return folder


@pytest.mark.parametrize(
    "device",
    ["auto", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)
def test_every_device_writes_the_cpus_text(checkpoint, device):
    """Oracle: the CPU."""
    words = ["generate", str(checkpoint), "It was a dark", "--max-tokens", "20"]
    there, here = (CliRunner().invoke(moe, [*words, "--device", one]) for one in (device, "cpu"))
    assert (there.exit_code, here.exit_code) == (0, 0), there.output
    assert there.output == here.output
    assert len(here.output) > len("It was a dark") + 10


@pytest.mark.slow
def test_a_saved_checkpoint_is_served_loaded_and_ended_gracefully(checkpoint):
    """Oracle: transformers' greedy generate on the same folder; the exit code after an interrupt within a stream."""
    from transformers import MixtralForCausalLM, PreTrainedTokenizerFast

    prompt = "It was a dark and stormy night"
    server = subprocess.Popen(
        [COURSE, "moe", "serve", str(checkpoint), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        url = server.stdout.readline().split()[0]
        test = [COURSE, "moe", "load-test", url, "--requests", "6", "--concurrency", "3", "--json"]
        loaded = subprocess.run(test, capture_output=True, text=True, check=False)
        assert loaded.returncode == 0, loaded.stderr
        assert json.loads(loaded.stdout)["answered"] == 6

        ask = {"model": "small", "prompt": prompt, "max_tokens": 60, "temperature": 0, "stream": True}
        text = ""
        with httpx.stream("POST", f"{url}/v1/completions", json=ask, timeout=60) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    if not text:
                        server.send_signal(signal.SIGINT)
                    text += json.loads(line[6:])["choices"][0]["text"]
        assert line or text
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.wait()
        server.stdout.close()

    hugging_face = MixtralForCausalLM.from_pretrained(checkpoint).eval()
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(checkpoint / "tokenizer.json"))
    tokens = theirs(prompt, return_tensors="pt").input_ids
    made = hugging_face.generate(tokens, max_new_tokens=60, do_sample=False, pad_token_id=0)[0, tokens.shape[1] :]
    assert text == theirs.decode(made, skip_special_tokens=True)

    wrote = CliRunner().invoke(moe, ["generate", str(checkpoint), prompt, "--max-tokens", "60", "--json"])
    assert json.loads(wrote.output)["text"] == text
