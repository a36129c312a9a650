"""Jobs as real processes. Oracles: the bucket as boto3 shows it, hashlib, and the kernel's process table."""

import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from course_lib.finops.batch import (
    BatchError,
    Ended,
    ExitRule,
    RetryStrategy,
    apply_publish,
    contract,
    plan_publish,
    practice_environment,
    publish,
    run_local,
)
from course_lib.finops.batch.contract import ContractError, Outputs, Prefix, fetch
from course_lib.finops.batch.retries import EXITED
from course_lib.finops.spot import REQUEUE_EXIT_CODE

FAST = {"COURSE_UPLOAD_EVERY": "0.1"}
# Counts to 3 and writes a checkpoint for each number; stops after the first one of the first attempt, to be reclaimed.
STEPS = """
import os, pathlib, time
out = pathlib.Path(os.environ["COURSE_OUTPUT"])
attempt, index = (int(os.environ["AWS_BATCH_JOB_" + name]) for name in ("ATTEMPT", "ARRAY_INDEX"))
for step in range(3):
    done = out / f"step{step}.txt"
    if done.exists():
        print("resumed", step)
        continue
    draft = out / ".draft"
    draft.write_text(f"{index}:{step} by attempt {attempt}")
    draft.rename(done)
    if attempt == 1 and index == 1:
        time.sleep(60)
"""


@pytest.fixture
def here(account, bucket, tmp_path):
    """Runs a job in a fresh folder with the practice account."""

    def run(job, **options):
        return run_local(job, tmp_path / "run", practice_environment(account.url), **options)

    return run


def objects(account, bucket, prefix=""):
    s3 = account.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def alive(pid):
    """Whether a process runs (a zombie doesn't)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_reclaimed_child_is_retried_and_resumes(account, bucket, here, job_for):
    job = job_for(sys.executable, "-c", STEPS, array_size=2, outputs=f"s3://{bucket}/out", environment=FAST)
    s3, saved = account.client("s3"), "out/1/step0.txt"

    def reclaim(index, attempt, work):
        return (index, attempt) == (1, 1) and "Contents" in s3.list_objects_v2(Bucket=bucket, Prefix=saved)

    run = here(job, reclaim=reclaim)
    assert [(one.index, one.attempt, one.ended.exit_code) for one in run.attempts] == [
        (0, 1, 0),
        (1, 1, None),
        (1, 2, 0),
    ]
    assert run.failed == []
    assert run.attempts[1].ended.status_reason.startswith("Host EC2 (instance i-")
    assert run.attempts[1].verdict == "rule 1 says RETRY"
    assert "resumed 0" in run.attempts[2].log.read_text()
    found = objects(account, bucket)
    assert found["out/1/step0.txt"] == b"1:0 by attempt 1"
    assert found["out/1/step2.txt"] == b"1:2 by attempt 2"
    manifest = json.loads(found["out/1/manifest.json"])
    assert manifest["attempt"] == 2
    assert manifest["files"] == {
        f"step{n}.txt": hashlib.sha256(found[f"out/1/step{n}.txt"]).hexdigest() for n in range(3)
    }
    assert run.usd() == pytest.approx(sum(one.seconds for one in run.attempts) / 3600 * 1.34375)


def test_an_error_of_the_program_is_not_retried_and_writes_no_manifest(account, bucket, here, job_for):
    code = "import os, sys; open(os.environ['COURSE_OUTPUT'] + '/half', 'w').write('x'); sys.exit(3)"
    run = here(job_for(sys.executable, "-c", code, outputs=f"s3://{bucket}/out"))
    assert [(one.ended.exit_code, one.verdict) for one in run.attempts] == [(3, "rule 3 says EXIT")]
    assert run.failed == [0]
    assert set(objects(account, bucket)) == {"out/half"}


def test_a_finished_output_is_not_computed_again(account, bucket, here, job_for, tmp_path):
    job = job_for(
        "python", "-c", "import os; open(os.environ['COURSE_OUTPUT'] + '/a', 'w')", outputs=f"s3://{bucket}/out"
    )
    here(job)
    again = run_local(job, tmp_path / "again", practice_environment(account.url))
    assert "is complete already" in again.attempts[0].log.read_text()


def test_batchs_variables_and_the_jobs_own_and_nothing_else(here, job_for, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THIS_SHELL", "x")
    code = "import os, json; print('ENV', json.dumps(dict(os.environ)))"
    run = here(job_for(sys.executable, "-c", code, array_size=3, environment={"SEED": "7"}), parallel=3)
    for index, one in enumerate(run.attempts):
        told = json.loads(one.log.read_text().split("ENV ")[1])
        assert told["AWS_BATCH_JOB_ARRAY_INDEX"] == str(index)
        assert told["AWS_BATCH_JOB_ATTEMPT"] == "1"
        assert told["SEED"] == "7"
        assert told["AWS_BATCH_JOB_ID"] == f"local:{index}"
        assert "SECRET_OF_THIS_SHELL" not in told


def test_a_timeout_ends_the_whole_process_group_and_is_not_retried(here, job_for, monkeypatch):
    # it ignores SIGTERM, and so does a grandchild in the same group
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN);"
        "p = subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, 1); time.sleep(60)']);"
        "print('PIDS', os.getpid(), p.pid, flush=True); time.sleep(60)"
    )
    job = job_for(sys.executable, "-c", code)
    object.__setattr__(job, "timeout", timedelta(seconds=1.0))  # below Batch's minimum, for a test that ends
    run = here(job, kill_after=0.3)
    (one,) = run.attempts
    assert one.ended.timed_out
    assert one.ended.status_reason == "Job attempt duration exceeded timeout"
    assert one.verdict == "it ran into its timeout: never tried again"
    pids = [int(word) for word in one.log.read_text().split("PIDS ")[1].split()[:2]]
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids))


def test_a_program_that_saves_at_sigterm_is_uploaded_before_the_host_goes(account, bucket, here, job_for):
    code = (
        "import os, pathlib, signal, sys, time; out = pathlib.Path(os.environ['COURSE_OUTPUT']);"
        "signal.signal(15, lambda *_: ((out / 'saved').write_text('step 41'), sys.exit(0)));"
        "(out / 'ready').write_text('x'); time.sleep(60)"
    )
    retry = RetryStrategy(1)
    job = job_for(sys.executable, "-c", code, outputs=f"s3://{bucket}/out", retry=retry)
    run = here(job, reclaim=lambda index, attempt, work: (work / "output" / "ready").exists())
    assert run.failed == [0]
    assert objects(account, bucket)["out/saved"] == b"step 41"
    assert "out/manifest.json" not in objects(account, bucket)


def test_a_program_that_is_told_to_stop_asks_to_be_run_again(job_for, tmp_path):
    """Whatever it exits with: SIGTERM comes from outside, and says nothing about the program."""
    for end in ("0", "1"):
        code = f"import signal, sys, time; signal.signal(15, lambda *_: sys.exit({end}));"
        code += "print('UP', flush=True); time.sleep(60)"
        run = subprocess.Popen(
            [sys.executable, contract.__file__, sys.executable, "-c", code],
            env={"COURSE_WORK": str(tmp_path / end)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert run.stdout.readline() == "UP\n"
        run.terminate()
        run.communicate(timeout=60)
        assert run.returncode == contract.REQUEUE == REQUEUE_EXIT_CODE
    assert job_for().retry.again(Ended(REQUEUE_EXIT_CODE, "", EXITED), 1) == (True, "rule 2 says RETRY")


def test_retry_rules_are_the_definitions(here, job_for):
    retry = RetryStrategy(3, (ExitRule("RETRY", on_exit_code="7*"), ExitRule("EXIT", on_exit_code="*")))
    code = "import os, sys; sys.exit([75, 70, 8][int(os.environ['AWS_BATCH_JOB_ATTEMPT']) - 1])"
    run = here(job_for(sys.executable, "-c", code, retry=retry))
    assert [one.ended.exit_code for one in run.attempts] == [75, 70, 8]
    assert [one.verdict for one in run.attempts] == [
        "rule 1 says RETRY",
        "rule 1 says RETRY",
        "attempt 3 was the last of 3",
    ]


def test_inputs_are_compared_with_their_checksums(account, bucket, here, job_for, tmp_path):
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "a.bin").write_bytes(os.urandom(3000))
    (data / ".hidden").write_text("stays")
    files = publish(account, data, f"s3://{bucket}/in", apply=True).files
    assert files == {"deep/a.bin": hashlib.sha256((data / "deep" / "a.bin").read_bytes()).hexdigest()}
    run = here(job_for("sha256sum", "input/deep/a.bin", inputs=f"s3://{bucket}/in"))
    assert f"{files['deep/a.bin']}  input/deep/a.bin" in run.attempts[0].log.read_text()
    s3 = account.client("s3")
    s3.put_object(Bucket=bucket, Key="in/deep/a.bin", Body=b"one bit flipped")
    with pytest.raises(ContractError, match=r"in/deep/a.bin is damaged: SHA-256"):
        fetch(s3, f"s3://{bucket}/in", tmp_path / "x")
    s3.delete_object(Bucket=bucket, Key="in/deep/a.bin")
    with pytest.raises(ContractError, match=r"in/deep/a.bin is missing"):
        fetch(s3, f"s3://{bucket}/in", tmp_path / "x")


def test_an_unfinished_input_is_exit_code_65_in_one_line(bucket, here, job_for):
    run = here(job_for(sys.executable, "-c", "print('never')", inputs=f"s3://{bucket}/nothing"))
    assert run.attempts[0].ended.exit_code == 65
    log = run.attempts[0].log.read_text()
    assert "has no manifest.json: it is empty or unfinished. Remedy: publish it first." in log
    assert "Traceback" not in log


def test_a_bucket_that_is_not_there_is_exit_code_74_in_one_line(here, job_for):
    run = here(job_for(sys.executable, "-c", "print('never')", outputs="s3://no-such-bucket/out"))
    log = run.attempts[0].log.read_text()
    assert (run.attempts[0].ended.exit_code, "NoSuchBucket" in log, "Traceback" in log) == (74, True, False)


def test_only_files_at_rest_are_uploaded_while_the_program_runs(account, bucket, tmp_path):
    outputs = Outputs(Prefix(account.client("s3"), f"s3://{bucket}/out"), tmp_path)
    (tmp_path / "a").write_text("1")
    assert outputs.upload(all_=False) == {}
    (tmp_path / "a").write_text("12")  # it grows: not at rest yet
    assert outputs.upload(all_=False) == {}
    assert set(outputs.upload(all_=False)) == {"a"}
    before = len(account.records())
    outputs.upload(all_=False)
    assert len(account.records()) == before  # what is there is not sent again
    assert objects(account, bucket) == {"out/a": b"12"}


def test_a_name_that_climbs_out_of_the_folder_is_refused(account, bucket, tmp_path):
    s3 = account.client("s3")
    prefix = Prefix(s3, f"s3://{bucket}/in")
    with pytest.raises(ContractError, match=r"'\.\./evil' in s3://batch-tests/in would be written outside"):
        prefix.get("../evil", tmp_path)


def test_bad_input_is_one_line(account, bucket, job_for, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "manifest.json").write_text("{}")
    two = job_for(nodes=2, purchase="on_demand")
    for call, says in (
        (lambda: run_local(two, tmp_path / "r"), r"nodes=2 can't run on one machine"),
        (lambda: run_local(job_for(inputs="s3://b0t/x"), tmp_path / "r"), r"no account is given"),
        (lambda: run_local(job_for(), tmp_path / "r", parallel=0), r"parallel=0 must be a whole number"),
        (lambda: publish(account, tmp_path / "empty", "s3://b0t/x"), r"holds no files"),
        (lambda: publish(account, tmp_path / "named", "s3://b0t/x"), r"holds a file manifest.json"),
        (lambda: publish(account, tmp_path, "b0t/x"), r"uri='b0t/x' is no S3 address"),
    ):
        with pytest.raises(BatchError, match=says) as caught:
            call()
        assert "Remedy:" in str(caught.value)
    run_local(job_for(), tmp_path / "once")
    with pytest.raises(BatchError, match=r"holds an earlier run"):
        run_local(job_for(), tmp_path / "once")


def test_an_interrupt_ends_every_child(tmp_path, job_for):
    code = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    job = job_for(sys.executable, "-c", code, array_size=2)
    folder = tmp_path / "run"

    def pids():
        return [int(path.read_text() or 0) for path in folder.rglob("pid")]

    def interrupt(index, attempt, work):
        if index == 0 and len(pids()) == 2:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        run_local(job, folder, reclaim=interrupt, parallel=2)
    assert len(pids()) == 2
    assert not any(alive(pid) for pid in pids())
    assert not (folder / "1-2").exists()


def test_a_file_that_changes_after_the_plan_leaves_no_manifest(account, bucket, tmp_path):
    (tmp_path / "a.txt").write_text("planned")
    plan = plan_publish(account, tmp_path, f"s3://{bucket}/in")
    assert "Contents" not in account.client("s3").list_objects_v2(Bucket=bucket)
    (tmp_path / "a.txt").write_text("changed")
    with pytest.raises(BatchError, match=r"has changed since the plan was made. Remedy: plan again"):
        apply_publish(account, plan)
    found = account.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert [one["Key"] for one in found] == ["in/a.txt"]
