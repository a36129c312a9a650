data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  tags = {
    owner      = var.owner
    project    = var.project
    managed-by = "course-guardrails"
  }

  given = {
    account        = data.aws_caller_identity.current.account_id
    partition      = data.aws_partition.current.partition
    regions        = var.regions
    instance_types = var.instance_types
  }

  policies = {
    guardrail-boundary    = "The most that a researcher may ever do, whatever else is attached."
    guardrail-costs       = "Reads costs, budgets and prices, and changes nothing."
    guardrail-ends-leases = "Terminates instances that have an end."
    guardrail-launcher    = "Launches for sessions of a role that carry a tag owner; with tags, an end and IMDSv2."
    guardrail-reaper      = "Ends instances whose time is over, stops those without an end, spares the protected."
    guardrail-researcher  = "Launches for IAM users, by their own name; with tags, an end and IMDSv2."
  }
}

# The documents in policies/ are written by course_lib.finops.iam's generators: change them there.
resource "aws_iam_policy" "guardrail" {
  for_each = local.policies

  name        = each.key
  description = each.value
  policy      = templatefile("${path.module}/policies/${trimprefix(each.key, "guardrail-")}.json.tftpl", local.given)
  tags        = local.tags
}

# Lab boxes keep their schedules in this group, and the launch policies allow schedules in no other.
resource "aws_scheduler_schedule_group" "ephemeral" {
  name = "ephemeral"
  tags = local.tags
}
