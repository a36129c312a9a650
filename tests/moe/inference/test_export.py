"""Exported programs. Oracle: the model's own logits, compared in a process that does not import our code."""

import subprocess
import sys

import pytest
import torch

from course_lib.moe import MoEError
from course_lib.moe.inference import export_decode_step, export_forward, quantize
from tests.moe.inference.small_models import dense, mixture, tokens

RELOAD = """
import sys, torch
form, program, given, wanted = sys.argv[1:]
run = torch.export.load(program).module() if form == "export" else torch.jit.load(program)
for inputs, out in zip(torch.load(given), torch.load(wanted), strict=True):
    with torch.no_grad():
        torch.testing.assert_close(run(inputs), out, atol=1e-5, rtol=1e-5)
assert not [name for name in sys.modules if name.startswith("course_lib")]
print("equal")
"""


@pytest.mark.parametrize("form", ["export", "torchscript"])
def test_a_forward_pass_runs_without_our_code_at_any_batch_and_length(form, tmp_path):
    """Oracle: the model's own logits, in another process."""
    model = mixture(shared_experts=1)
    export_forward(model, tmp_path / "program", form=form)
    inputs = [tokens(*shape) for shape in ((1, 1), (1, 7), (3, 64), (2, 8))]
    with torch.no_grad():
        torch.save([model(x) for x in inputs], tmp_path / "wanted")
    torch.save(inputs, tmp_path / "given")
    told = subprocess.run(
        [sys.executable, "-c", RELOAD, form, tmp_path / "program", tmp_path / "given", tmp_path / "wanted"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert told.stdout.strip() == "equal", told.stderr


@pytest.mark.parametrize("form", ["export", "torchscript"])
def test_a_decoding_step_gives_the_full_passs_logits(form, tmp_path):
    """Oracle: the model's full forward pass."""
    model, x = mixture(), tokens(3, 10)
    export_decode_step(model, tmp_path / "program", cache_length=16, form=form)
    path = str(tmp_path / "program")
    step = torch.export.load(path).module() if form == "export" else torch.jit.load(path)
    with torch.no_grad():
        full = model(x)
        keys = torch.full((3, 3, 16, 2, 8), 9.0)  # what lies beyond a sequence's end does not matter
        values = keys.clone()
        for i in range(10):
            logits, keys, values = step(x[:, i : i + 1], torch.full((3,), i), keys, values)
            torch.testing.assert_close(logits, full[:, i], atol=1e-5, rtol=1e-5)
        assert model(x).equal(full), "the model is as it was"
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_what_cant_be_exported_is_refused(tmp_path):
    """Oracle: the list of forms; plain experts."""
    with pytest.raises(MoEError, match="form='onnx'"):
        export_forward(dense(), tmp_path / "x", form="onnx")
    with pytest.raises(MoEError, match="cache_length=65"):
        export_decode_step(dense(), tmp_path / "x", cache_length=65)
    with pytest.raises(MoEError, match="before packing"):
        export_forward(quantize(mixture(expert_hidden_size=32), "int8", group_size=16), tmp_path / "x")
