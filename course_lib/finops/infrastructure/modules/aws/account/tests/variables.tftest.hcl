# What the modules refuse: every variable named in expect_failures must fail. Nothing here talks to AWS: the provider is a mock, and each run asks for a plan.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "000000000000" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
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
  starts_at          = "2126-12-01T08:00:00Z"
  bucket_name        = "bert-checkpoints"
  regions            = ["us-east-1"]
  instance_types     = ["trn1.2xlarge"]
  trusted_arns       = ["arn:aws:iam::000000000000:role/students"]
  max_vcpus          = 16
  image              = "example.org/train:1.0"
  command            = ["python", "train.py"]
  subnet_ids         = ["subnet-0"]
}

run "box_without_person_end_or_accelerator" {
  command = plan
  module { source = "../lab-box" }
  variables {
    owner         = "ada"
    project       = "B"
    ttl_hours     = 0
    usd_per_hour  = 0
    instance_type = "m5.large"
    image_id      = "latest"
    root_gib      = 4
  }
  expect_failures = [
    var.owner, var.project, var.ttl_hours, var.usd_per_hour, var.instance_type, var.image_id, var.root_gib
  ]
}

run "box_for_three_weeks" {
  command = plan
  module { source = "../lab-box" }
  variables {
    ttl_hours  = 504
    budget_usd = 10000
  }
  expect_failures = [var.ttl_hours]
}

run "box_above_its_budget" {
  command = plan
  module { source = "../lab-box" }
  variables { ttl_hours = 8 }
  expect_failures = [var.budget_usd]
}

run "box_whose_lease_is_over" {
  command = plan
  module { source = "../lab-box" }
  variables { starts_at = "2020-01-01T00:00:00Z" }
  expect_failures = [aws_instance.this]
}

run "budget_of_nothing" {
  command = plan
  module { source = "../budget" }
  variables {
    limit_usd     = 0
    alert_percent = [150]
  }
  expect_failures = [var.limit_usd, var.alert_percent]
}

run "network_with_an_unknown_way_out" {
  command = plan
  module { source = "../network" }
  variables {
    internet = "vpn"
    zones    = 0
    cidr     = "10.20.0.0"
  }
  expect_failures = [var.internet, var.zones, var.cidr]
}

run "bucket_that_keeps_everything" {
  command = plan
  module { source = "../storage" }
  variables {
    checkpoint_days = 0
    bucket_name     = "Bert"
  }
  expect_failures = [var.checkpoint_days, var.bucket_name]
}

run "rights_to_everything_for_everybody" {
  command = plan
  module { source = "../iam" }
  variables {
    regions        = ["*"]
    instance_types = ["*"]
    trusted_arns   = ["*"]
  }
  expect_failures = [var.regions, var.instance_types, var.trusted_arns]
}

run "job_without_an_end" {
  command = plan
  module { source = "../batch" }
  variables {
    ttl_hours      = 0
    max_vcpus      = 0
    devices        = -1
    image          = "example.org/train:latest"
    instance_types = ["optimal"]
    subnet_ids     = []
  }
  expect_failures = [
    var.ttl_hours, var.max_vcpus, var.devices, var.image, var.instance_types, var.subnet_ids
  ]
}
