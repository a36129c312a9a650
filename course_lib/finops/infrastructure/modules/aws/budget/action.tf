# What happens at 100 percent, besides mail: a policy that denies every launch is attached to the named roles. It stops
# nothing that runs, and budget data are hours old; the lifetimes of the instances are the brake.
locals {
  given = {
    account   = data.aws_caller_identity.current.account_id
    partition = data.aws_partition.current.partition
    stop_role_arns = [
      for role in var.stop_roles :
      "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/${role}"
    ]
  }

  policies = {
    guardrail-budget-stop = "Attached by AWS Budgets when the budget is used up: denies everything that starts compute."
    guardrail-budgets     = "Attaches that policy to the roles that a budget stops, and takes it off again."
  }
}

# The documents in policies/ are written by course_lib.finops.iam's generators: change them there.
resource "aws_iam_policy" "guardrail" {
  for_each = local.stops ? local.policies : {}

  name        = each.key
  description = each.value
  policy      = templatefile("${path.module}/policies/${trimprefix(each.key, "guardrail-")}.json.tftpl", local.given)
  tags        = local.tags
}

resource "aws_iam_role" "budgets" {
  count = local.stops ? 1 : 0

  name        = "guardrail-budgets"
  description = "attaches the policy that stops launches"
  tags        = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "budgets.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.given.account } }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "budgets" {
  count = local.stops ? 1 : 0

  role       = aws_iam_role.budgets[0].name
  policy_arn = aws_iam_policy.guardrail["guardrail-budgets"].arn
}

resource "aws_budgets_budget_action" "stop" {
  count = local.stops ? 1 : 0

  budget_name        = aws_budgets_budget.month.name
  action_type        = "APPLY_IAM_POLICY"
  approval_model     = "AUTOMATIC"
  notification_type  = "ACTUAL"
  execution_role_arn = aws_iam_role.budgets[0].arn
  tags               = local.tags
  depends_on         = [aws_iam_role_policy_attachment.budgets]

  action_threshold {
    action_threshold_type  = "PERCENTAGE"
    action_threshold_value = 100
  }

  definition {
    iam_action_definition {
      policy_arn = aws_iam_policy.guardrail["guardrail-budget-stop"].arn
      roles      = var.stop_roles
    }
  }

  subscriber {
    subscription_type = "SNS"
    address           = aws_sns_topic.alerts.arn
  }
}
