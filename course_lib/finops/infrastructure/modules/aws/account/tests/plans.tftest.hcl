# What the modules make. Nothing here talks to AWS: the provider is a mock.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "000000000000" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }
}

variables {
  owner              = "ada@example.org"
  project            = "bert"
  ttl_hours          = 4
  budget_usd         = 10
  usd_per_hour       = 1.34375
  limit_usd          = 100
  instance_type      = "trn1.2xlarge"
  image_id           = "ami-12c6146b"
  subnet_id          = "subnet-0"
  security_group_ids = ["sg-0"]
  scheduler_role_arn = "arn:aws:iam::000000000000:role/ends-leases"
  bucket_name        = "bert-checkpoints"
  regions            = ["us-east-1"]
  instance_types     = ["trn1.2xlarge"]
  trusted_arns       = ["arn:aws:iam::000000000000:role/students"]
  max_vcpus          = 16
  image              = "example.org/train:1.0"
  command            = ["python", "train.py"]
  subnet_ids         = ["subnet-0"]
}

run "box_ends_by_itself" {
  command = plan
  module { source = "../lab-box" }
  variables { starts_at = "2126-12-31T22:00:00Z" }

  assert {
    condition     = output.expires_at == "2127-01-01T02:00:00Z" && output.expires_epoch == 4954442400
    error_message = "The lease must end four hours after its start, across the end of the year."
  }
  assert {
    condition     = aws_instance.this.instance_initiated_shutdown_behavior == "terminate"
    error_message = "Powering off must mean terminating."
  }
  assert {
    condition     = aws_instance.this.user_data == "#!/bin/bash\nshutdown -P +$(( (4954442400 - $(date +%s)) / 60 ))\n"
    error_message = "The timer must come before everything else."
  }
  assert {
    condition     = aws_scheduler_schedule.end.schedule_expression == "at(2127-01-01T02:00:00)"
    error_message = "The scheduler must end it at the same moment."
  }
  assert {
    condition     = aws_instance.this.metadata_options[0].http_tokens == "required" && aws_instance.this.root_block_device[0].encrypted
    error_message = "IMDSv2 and an encrypted disk are not optional."
  }
  assert {
    condition = aws_instance.this.tags == tomap({
      owner = "ada@example.org", project = "bert", expires-at = "2127-01-01T02:00:00Z"
    })
    error_message = "The tags are the lease."
  }
}

run "leap_day" {
  command = plan
  module { source = "../lab-box" }
  variables {
    starts_at = "2128-02-28T23:59:59Z"
    ttl_hours = 1
  }

  assert {
    condition     = output.expires_at == "2128-02-29T00:59:59Z" && output.expires_epoch == 4991072399
    error_message = "The end must count the leap day."
  }
}

run "network_has_no_nat_by_default" {
  command = plan
  module { source = "../network" }

  assert {
    condition     = output.nat_gateways == 0 && length(aws_eip.nat) == 0
    error_message = "A NAT gateway costs money by the hour."
  }
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "S3 must be reachable without a charge."
  }
  assert {
    condition     = length(aws_subnet.work) == 2
    error_message = "Two zones are the default."
  }
}

run "nat_is_there_when_asked_for" {
  command = plan
  module { source = "../network" }
  variables { internet = "nat" }

  assert {
    condition     = output.nat_gateways == 1 && alltrue([for one in aws_subnet.work : !one.map_public_ip_on_launch])
    error_message = "With NAT the work subnets are private."
  }
}

run "closed_network" {
  command = plan
  module { source = "../network" }
  variables { internet = "none" }

  assert {
    condition     = length(aws_internet_gateway.this) == 0 && length(aws_route.out) == 0
    error_message = "No way out means none."
  }
}

run "account_brakes_by_default" {
  command = plan

  assert {
    condition     = module.budget.stopped_roles == tolist(["course-researcher"]) && module.network.nat_gateways == 0
    error_message = "Unless asked otherwise the budget brakes the researcher, and no NAT gateway runs."
  }
}

run "used_up_budget_stops_the_researcher" {
  command = plan
  module { source = "../budget" }
  variables { stop_roles = ["course-researcher"] }

  # A topic that is there already: what is told to it is then known before the apply.
  override_resource {
    target          = aws_sns_topic.alerts
    override_during = plan
    values          = { arn = "arn:aws:sns:us-east-1:000000000000:guardrail-budget-bert" }
  }

  assert {
    condition     = aws_budgets_budget_action.stop[0].approval_model == "AUTOMATIC" && aws_budgets_budget_action.stop[0].action_type == "APPLY_IAM_POLICY"
    error_message = "At 100 percent the policy is attached without anybody's help."
  }
  assert {
    condition     = length(aws_budgets_budget.month.notification) == 4
    error_message = "Three real thresholds and one forecast."
  }
}

run "queue_costs_nothing_when_empty" {
  command = plan
  module { source = "../batch" }

  assert {
    condition     = aws_batch_compute_environment.this.compute_resources[0].min_vcpus == 0
    error_message = "An empty queue must keep no instance."
  }
  assert {
    condition     = aws_batch_job_definition.train.timeout[0].attempt_duration_seconds == 14400
    error_message = "Four hours, in seconds."
  }
  assert {
    condition     = jsondecode(aws_batch_job_definition.train.container_properties).linuxParameters.devices[0].hostPath == "/dev/neuron0"
    error_message = "The container must see the Neuron device."
  }
}
