locals {
  starts_at  = coalesce(var.starts_at, terraform_data.start.output)
  expires_at = timeadd(local.starts_at, "${ceil(var.ttl_hours * 3600)}s")
  tags = {
    owner      = var.owner
    project    = var.project
    expires-at = local.expires_at
  }
}

# The moment of the first apply, kept in the state: without it the end would move with every later apply.
resource "terraform_data" "start" {
  input = plantimestamp()

  lifecycle {
    ignore_changes = [input]
  }
}

resource "aws_instance" "this" {
  ami                                  = var.image_id
  instance_type                        = var.instance_type
  subnet_id                            = var.subnet_id
  vpc_security_group_ids               = var.security_group_ids
  instance_initiated_shutdown_behavior = "terminate"
  user_data                            = local.user_data
  user_data_replace_on_change          = true
  tags                                 = local.tags
  volume_tags                          = local.tags

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  root_block_device {
    volume_size           = var.root_gib
    volume_type           = "gp3"
    encrypted             = true
    delete_on_termination = true
  }

  # An apply after the end would otherwise launch the box again, with a timer
  # that has run out.
  lifecycle {
    precondition {
      condition     = timecmp(local.expires_at, plantimestamp()) > 0
      error_message = "${local.expires_at} is past: destroy, then apply."
    }
  }
}

# The second layer, whatever goes on inside the box. Provider 5.100.0 has no action_after_completion, so the schedule
# stays, spent, until terraform destroy.
resource "aws_scheduler_schedule" "end" {
  name                         = "lease-${aws_instance.this.id}"
  group_name                   = var.schedule_group
  description                  = "Ends the lease of ${var.owner}."
  schedule_expression          = "at(${trimsuffix(local.expires_at, "Z")})"
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances"
    role_arn = var.scheduler_role_arn
    input    = jsonencode({ InstanceIds = [aws_instance.this.id] })

    retry_policy {
      maximum_retry_attempts       = 185
      maximum_event_age_in_seconds = 86400
    }
  }
}
