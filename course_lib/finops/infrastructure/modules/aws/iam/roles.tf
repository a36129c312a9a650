# A researcher is whoever comes with an owner tag of their own, and the session carries that tag: the policies compare it
# with the tags of the instances.
resource "aws_iam_role" "researcher" {
  name                 = "course-researcher"
  description          = "launches accelerators that end by themselves"
  permissions_boundary = aws_iam_policy.guardrail["guardrail-boundary"].arn
  max_session_duration = 43200
  tags                 = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ComeWithYourOwnName"
      Effect    = "Allow"
      Principal = { AWS = var.trusted_arns }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals                = { "aws:RequestTag/owner" = "$${aws:PrincipalTag/owner}" }
        "ForAllValues:StringEquals" = { "aws:TagKeys" = ["owner"] }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "researcher" {
  for_each = toset(["guardrail-costs", "guardrail-launcher"])

  role       = aws_iam_role.researcher.name
  policy_arn = aws_iam_policy.guardrail[each.key].arn
}

# Without the prefix guardrail-: whoever launches passes this role to the scheduler, and the boundary forbids to pass
# the others.
resource "aws_iam_role" "scheduler" {
  name        = "ends-leases"
  description = "terminates instances when leases end"
  tags        = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.given.account } }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "scheduler" {
  role       = aws_iam_role.scheduler.name
  policy_arn = aws_iam_policy.guardrail["guardrail-ends-leases"].arn
}

resource "aws_iam_role" "reaper" {
  name        = "guardrail-reaper"
  description = "ends what outlived its lease"
  tags        = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "reaper" {
  role       = aws_iam_role.reaper.name
  policy_arn = aws_iam_policy.guardrail["guardrail-reaper"].arn
}
