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

variable "account_name" {
  description = "Name of the storage account, unique in all of Azure."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.account_name))
    error_message = "account_name must be 3 to 24 lower-case letters and digits: Azure allows nothing else."
  }
}

variable "checkpoint_days" {
  description = "Days after which checkpoints are deleted."
  type        = number
  default     = 30

  validation {
    condition     = var.checkpoint_days >= 1 && floor(var.checkpoint_days) == var.checkpoint_days
    error_message = "checkpoint_days must be a whole number of at least 1: what nobody deletes is paid for every month."
  }
}
