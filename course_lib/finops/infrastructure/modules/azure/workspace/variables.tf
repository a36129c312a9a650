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

variable "location" {
  description = "Azure region, such as eastus2."
  type        = string
}

variable "limit_usd" {
  description = "What the resource group may cost in a month, in the currency of the billing account."
  type        = number

  validation {
    condition     = var.limit_usd > 0
    error_message = "limit_usd must be above 0: a budget of nothing alerts on everything and brakes nothing."
  }
}

variable "starts_on" {
  description = "First day of the budget; must be the first of a month, such as 2026-12-01T00:00:00Z."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-01T00:00:00Z$", var.starts_on))
    error_message = "starts_on must be the first of a month in UTC, such as 2026-12-01T00:00:00Z."
  }
}

variable "expires_at" {
  description = "When everything in the group is to be gone, such as 2027-06-30T00:00:00Z; required."
  type        = string

  validation {
    condition     = can(regex("Z$", var.expires_at)) && can(timeadd(var.expires_at, "0s"))
    error_message = "expires_at must be a moment in UTC, such as 2027-06-30T00:00:00Z."
  }
}
