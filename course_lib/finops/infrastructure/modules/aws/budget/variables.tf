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

variable "limit_usd" {
  description = "USD that the project may cost in a calendar month."
  type        = number

  validation {
    condition     = var.limit_usd > 0
    error_message = "limit_usd must be above 0: a budget of nothing alerts on everything and brakes nothing."
  }
}

variable "alert_percent" {
  description = "Percent of the budget at which what was really spent is reported."
  type        = list(number)
  default     = [50, 80, 100]

  validation {
    condition     = length(var.alert_percent) > 0 && alltrue([for one in var.alert_percent : one > 0 && one <= 100])
    error_message = "alert_percent must hold numbers above 0 and at most 100, such as [50, 80, 100]."
  }
}

variable "stop_roles" {
  description = "Names of the roles that may launch nothing once the budget is used up; empty for alerts alone."
  type        = list(string)
  default     = []
}
