variable "owner" {
  description = "Mail address of the person to ask about these resources; becomes the tag owner."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+$", var.owner))
    error_message = "owner must be a mail address, such as ada@example.org."
  }
}

variable "project" {
  description = "Who pays; becomes the tag project, by which the bill is divided."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,30}[a-z0-9]$", var.project))
    error_message = "project must be 3 to 32 lower-case letters, digits and hyphens, such as bert."
  }
}

variable "ttl_hours" {
  description = "How long the lease is, in hours; required."
  type        = number

  validation {
    condition     = var.ttl_hours >= 1 / 6 && var.ttl_hours <= 336
    error_message = "ttl_hours must be from 1/6 to 336, which is 14 days."
  }
}

variable "budget_usd" {
  description = "USD that the box may cost until its lease ends."
  type        = number

  validation {
    condition     = var.budget_usd > 0
    error_message = "budget_usd must be above 0."
  }

  validation {
    condition     = var.usd_per_hour * var.ttl_hours <= var.budget_usd
    error_message = "This lease costs more than budget_usd: end it sooner."
  }
}

variable "usd_per_hour" {
  description = "The box's on-demand price; the course's catalog holds prices with their dates."
  type        = number

  validation {
    condition     = var.usd_per_hour > 0
    error_message = "usd_per_hour must be above 0: a box whose price nobody knows can't stay within a budget."
  }
}

variable "instance_type" {
  description = "What to launch, such as trn1.2xlarge."
  type        = string

  validation {
    condition     = can(regex("^(trn|inf|g|p)[0-9][a-z0-9-]*[.][a-z0-9]+$", var.instance_type))
    error_message = "instance_type must be one with an accelerator, such as trn1.2xlarge, inf2.xlarge or g6.xlarge."
  }
}

variable "image_id" {
  description = "The AMI to start."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "image_id must be an AMI's id, such as ami-0123456789abcdef0."
  }
}

variable "subnet_id" {
  description = "Where the box starts."
  type        = string
}

variable "security_group_ids" {
  description = "Security groups of the box; the network module's lets nothing in."
  type        = list(string)
}

variable "scheduler_role_arn" {
  description = "The role with which EventBridge Scheduler terminates the box; the iam module makes it."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", var.scheduler_role_arn))
    error_message = "scheduler_role_arn must be the ARN of a role."
  }
}

variable "schedule_group" {
  description = "Group of the schedule that ends the box; the iam module makes it."
  type        = string
  default     = "ephemeral"
}

variable "script" {
  description = "Shell commands to run at boot, after the timer has been set."
  type        = string
  default     = ""
}

variable "root_gib" {
  description = "Size of the root volume, GiB."
  type        = number
  default     = 100

  validation {
    condition     = var.root_gib >= 8 && var.root_gib <= 2000 && floor(var.root_gib) == var.root_gib
    error_message = "root_gib must be a whole number from 8 to 2000."
  }
}

variable "starts_at" {
  description = "When the lease begins, such as 2026-12-01T08:00:00Z; null for the moment of the first apply."
  type        = string
  default     = null

  validation {
    condition     = var.starts_at == null || can(regex("Z$", formatdate("YYYY-MM-DD'T'hh:mm:ssZ", var.starts_at)))
    error_message = "starts_at must be a moment in UTC, such as 2026-12-01T08:00:00Z."
  }
}
