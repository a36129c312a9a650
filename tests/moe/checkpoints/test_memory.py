"""Reading and writing take little more memory than the model. Oracle: the kernel's high-water mark of the process."""

import subprocess
import sys

import pytest

MEASURE = """
import sys
import torch
from course_lib.moe import MoEModel, moe_config
from course_lib.moe.checkpoints import load_checkpoint, save_checkpoint

def kib(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))

def extra(work):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # sets the high-water mark back to what is held now
    before = kib("VmRSS")
    result = work()
    return (kib("VmHWM") - before) * 1024, result

what, folder, experts, most = sys.argv[1:]
torch.set_num_threads(1)
if what == "save":
    shape = moe_config(layers=2, hidden_size=512, heads=8, vocab_size=8000, experts=16, expert_hidden_size=1024)
    model = MoEModel(shape).bfloat16()
    held, _ = extra(lambda: save_checkpoint(model, folder, experts=experts, max_shard_bytes=int(most)))
else:
    held, model = extra(lambda: load_checkpoint(folder))
size = sum(p.numel() * p.element_size() for p in model.parameters())
assert size > 100e6
print(held / size)
"""


def measured(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, arguments)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("experts", "most"), [("per_expert", 10**10), ("fused", 30 * 10**6)], ids=["one", "shards"])
def test_reading_holds_the_model_and_a_little_more_and_writing_a_little(tmp_path, experts, most):
    """Oracle: VmHWM of a fresh process. A file mapped as a whole would show as 2, a copy of a shard as another 1."""
    assert measured("save", tmp_path / "model", experts, most) < 0.1
    assert 1.0 < measured("load", tmp_path / "model", experts, most) < 1.3
