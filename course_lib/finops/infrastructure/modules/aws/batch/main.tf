data "aws_partition" "current" {}

locals {
  tags = {
    owner      = var.owner
    project    = var.project
    managed-by = "course-guardrails"
  }
}

# Instances that Batch starts on its own: they have no lease. Their end is the queue's: min_vcpus is 0, so an empty queue
# costs nothing, and every job has a timeout.
resource "aws_batch_compute_environment" "this" {
  compute_environment_name_prefix = "${var.project}-"
  type                            = "MANAGED"
  state                           = "ENABLED"
  tags                            = local.tags
  depends_on                      = [aws_iam_role_policy_attachment.instance]

  compute_resources {
    type                = var.spot ? "SPOT" : "EC2"
    allocation_strategy = var.spot ? "SPOT_PRICE_CAPACITY_OPTIMIZED" : "BEST_FIT_PROGRESSIVE"
    instance_role       = aws_iam_instance_profile.instance.arn
    instance_type       = var.instance_types
    min_vcpus           = 0
    max_vcpus           = var.max_vcpus
    subnets             = var.subnet_ids
    security_group_ids  = var.security_group_ids
    tags                = local.tags

    launch_template {
      launch_template_id = aws_launch_template.instance.id
      version            = "$Latest"
    }
  }

  # A new environment is made before the old one goes, because the queue must never be without.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_launch_template" "instance" {
  name_prefix = "${var.project}-batch-"
  tags        = local.tags

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # Containers sit one network hop behind the instance.
    http_put_response_hop_limit = 2
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 100
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags
  }
}

resource "aws_batch_job_queue" "this" {
  name     = var.project
  state    = "ENABLED"
  priority = 1
  tags     = local.tags

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.this.arn
  }
}

resource "aws_batch_job_definition" "train" {
  name                  = "${var.project}-train"
  type                  = "container"
  platform_capabilities = ["EC2"]
  propagate_tags        = true
  tags                  = local.tags

  timeout {
    attempt_duration_seconds = ceil(var.ttl_hours * 3600)
  }

  # An instance that was taken back is worth another try, a program that failed is not.
  retry_strategy {
    attempts = 3

    evaluate_on_exit {
      action           = "RETRY"
      on_status_reason = "Host EC2*"
    }

    evaluate_on_exit {
      action    = "EXIT"
      on_reason = "*"
    }
  }

  container_properties = jsonencode({
    image   = var.image
    command = var.command
    resourceRequirements = [
      { type = "VCPU", value = tostring(var.vcpus) },
      { type = "MEMORY", value = tostring(var.memory_mib) },
    ]
    linuxParameters = {
      devices = [
        for number in range(var.devices) : {
          hostPath      = "/dev/neuron${number}"
          containerPath = "/dev/neuron${number}"
          permissions   = ["READ", "WRITE"]
        }
      ]
    }
  })
}
