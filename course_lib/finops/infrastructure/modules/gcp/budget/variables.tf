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

variable "billing_account" {
  description = "Id of the billing account."
  type        = string
  sensitive   = true
}

variable "project_number" {
  description = "Number of the Google Cloud project whose costs count."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+$", var.project_number))
    error_message = "project_number must be the project's number, not its name."
  }
}

variable "limit_usd" {
  description = "What the project may cost in a calendar month, in whole units of the billing account's currency."
  type        = number

  validation {
    condition     = var.limit_usd >= 1 && floor(var.limit_usd) == var.limit_usd
    error_message = "limit_usd must be a whole number above 0."
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
