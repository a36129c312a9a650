"""Does everything that costs money by the hour or by the gigabyte have an end? By cloud and kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course_lib.finops.infrastructure.reading import Block, Module, literal, only
from course_lib.finops.infrastructure.references import references

Problem = tuple[str, str]  # what is wrong, and the remedy
# Each is false where it is left out.
FLAGS = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")


def machine_problems(module: Module) -> Iterator[Problem]:
    """Machines without an end that something other than a human sees to."""
    for name, box in module.of_type("aws_instance").items():
        if literal(box.get("instance_initiated_shutdown_behavior")) != "terminate":
            yield (
                f"aws_instance.{name} survives its own shutdown",
                'set instance_initiated_shutdown_behavior = "terminate"',
            )
        if not _pointed_at(module, "aws_scheduler_schedule", ("aws_instance", name)):
            yield f"aws_instance.{name} has no schedule that ends it", "add an aws_scheduler_schedule for it"
        if literal(only(box.get("metadata_options")).get("http_tokens")) != "required":
            yield f"aws_instance.{name} answers IMDSv1", 'set http_tokens = "required" in metadata_options'
        if literal(only(box.get("root_block_device")).get("encrypted")) is not True:
            yield f"aws_instance.{name} has a plain root disk", "set encrypted = true in root_block_device"
    for name, box in module.of_type("google_compute_instance").items():
        scheduling = only(box.get("scheduling"))
        if "seconds" not in only(scheduling.get("max_run_duration")):
            yield f"google_compute_instance.{name} may run forever", "set scheduling.max_run_duration.seconds"
        if literal(scheduling.get("instance_termination_action")) != "DELETE":
            yield (
                f"google_compute_instance.{name} stops, and its disk stays",
                'set instance_termination_action = "DELETE"',
            )
    for name in module.of_type("azurerm_linux_virtual_machine"):
        target = ("azurerm_linux_virtual_machine", name)
        if not _pointed_at(module, "azurerm_dev_test_global_vm_shutdown_schedule", target):
            yield f"azurerm_linux_virtual_machine.{name} has no shutdown schedule", "add one that names it"


def batch_problems(module: Module) -> Iterator[Problem]:
    """Queues that keep instances when empty, and jobs that may run forever."""
    for name, block in module.of_type("aws_batch_compute_environment").items():
        if literal(only(block.get("compute_resources")).get("min_vcpus")) != 0:
            yield f"aws_batch_compute_environment.{name} keeps instances when empty", "set min_vcpus = 0"
    for name, block in module.of_type("aws_batch_job_definition").items():
        if "attempt_duration_seconds" not in only(block.get("timeout")):
            yield f"aws_batch_job_definition.{name} may run forever", "set timeout.attempt_duration_seconds"


def storage_problems(module: Module) -> Iterator[Problem]:
    """Buckets that are public, plain, or keep everything."""
    beside = {
        "aws_s3_bucket_lifecycle_configuration": "keeps everything",
        "aws_s3_bucket_public_access_block": "may be made public",
        "aws_s3_bucket_server_side_encryption_configuration": "does not say how it is encrypted",
    }
    for name in module.of_type("aws_s3_bucket"):
        for kind, problem in beside.items():
            if not _pointed_at(module, kind, ("aws_s3_bucket", name)):
                yield f"aws_s3_bucket.{name} {problem}", f"add an {kind} for it"
    for name, block in module.of_type("aws_s3_bucket_public_access_block").items():
        if lacking := [flag for flag in FLAGS if literal(block.get(flag)) is not True]:
            yield f"aws_s3_bucket_public_access_block.{name} leaves {', '.join(lacking)} open", "set each to true"
    for name, block in module.of_type("aws_s3_bucket_lifecycle_configuration").items():
        rules: list[Any] = block.get("rule") or block.get("dynamic") or []
        if all(literal(rule.get("status")) == "Disabled" for rule in rules):
            yield f"aws_s3_bucket_lifecycle_configuration.{name} has no rule that is on", 'set status = "Enabled"'
    for name, block in module.of_type("google_storage_bucket").items():
        if literal(block.get("public_access_prevention")) != "enforced":
            yield f"google_storage_bucket.{name} may be made public", 'set public_access_prevention = "enforced"'
        if not _deletes(block):
            yield f"google_storage_bucket.{name} keeps everything", "add a lifecycle_rule that deletes"
    for name, block in module.of_type("azurerm_storage_account").items():
        if literal(block.get("allow_nested_items_to_be_public")) is not False:
            yield f"azurerm_storage_account.{name} may be made public", "set allow_nested_items_to_be_public = false"
        if not _pointed_at(module, "azurerm_storage_management_policy", ("azurerm_storage_account", name)):
            yield f"azurerm_storage_account.{name} keeps everything", "add an azurerm_storage_management_policy for it"


def _deletes(bucket: Block) -> bool:
    rules: list[Any] = bucket.get("lifecycle_rule", [])
    return any(literal(only(rule.get("action")).get("type")) == "Delete" for rule in rules)


def _pointed_at(module: Module, kind: str, target: tuple[str, str]) -> bool:
    return any(target in references(block) for block in module.of_type(kind).values())
