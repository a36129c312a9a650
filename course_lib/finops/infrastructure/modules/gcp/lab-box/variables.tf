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
  description = "What the box may cost until its lease ends, USD."
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
  description = "The box's price, USD; look it up in Google Cloud's price list."
  type        = number

  validation {
    condition     = var.usd_per_hour > 0
    error_message = "usd_per_hour must be above 0: a box whose price nobody knows can't stay within a budget."
  }
}

variable "zone" {
  description = "Where the box starts; accelerators are in a few zones only."
  type        = string
}

variable "machine_type" {
  description = "Machine type that has its accelerators built in: a2, a3, a4, g2 (GPU), ct6e, ct5p, tpu7x (TPU)."
  type        = string

  validation {
    condition     = can(regex("^(a2|a3|a4|g2|ct5p|ct6e|tpu7x)-[a-z0-9-]+$", var.machine_type))
    error_message = "machine_type must be one with accelerators, such as g2-standard-4 or ct6e-standard-1t."
  }
}

variable "spot" {
  description = "Whether to run on spot capacity; what is taken back is deleted."
  type        = bool
  default     = true
}

variable "image" {
  description = "The boot image, such as projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64."
  type        = string
}

variable "subnetwork" {
  description = "Where the box starts; it gets no public address."
  type        = string
}
