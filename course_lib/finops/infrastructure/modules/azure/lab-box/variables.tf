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

variable "resource_group_name" {
  description = "The group from the workspace module."
  type        = string
}

variable "location" {
  description = "Azure region, such as eastus2."
  type        = string
}

variable "ttl_hours" {
  description = "How long the lease is, in hours; required. At most 23, because the shutdown schedule is a daily one."
  type        = number

  validation {
    condition     = var.ttl_hours >= 1 && var.ttl_hours <= 23
    error_message = "ttl_hours must be from 1 to 23: the daily schedule must come at the end of the lease, not before."
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
  description = "The box's price, USD; look it up in the Azure retail prices API."
  type        = number

  validation {
    condition     = var.usd_per_hour > 0
    error_message = "usd_per_hour must be above 0: a box whose price nobody knows can't stay within a budget."
  }
}

variable "size" {
  description = "Size with an accelerator, such as Standard_NC40ads_H100_v5 (one H100)."
  type        = string
  default     = "Standard_NC40ads_H100_v5"

  validation {
    condition     = can(regex("^Standard_N[CD][0-9]+[a-z]+_[A-Za-z0-9_]+$", var.size))
    error_message = "size must be of the NC or ND families, which have accelerators, such as Standard_NC40ads_H100_v5."
  }
}

variable "spot" {
  description = "Whether to run on spot capacity; what is taken back is deleted."
  type        = bool
  default     = true
}

variable "subnet_id" {
  description = "Where the box starts; it gets no public address."
  type        = string
}

variable "ssh_public_key" {
  description = "The public half of your key; there is no password."
  type        = string

  validation {
    condition     = can(regex("^ssh-(rsa|ed25519) [A-Za-z0-9+/=]+", var.ssh_public_key))
    error_message = "ssh_public_key must be the text of a public key, such as the file id_ed25519.pub holds."
  }
}

variable "image" {
  description = "The image to start: publisher, offer, sku and version."
  type = object({
    publisher = string
    offer     = string
    sku       = string
    version   = string
  })
}
