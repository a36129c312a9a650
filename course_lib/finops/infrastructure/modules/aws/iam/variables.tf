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

variable "regions" {
  description = "Where launches are allowed."
  type        = list(string)

  validation {
    condition     = length(var.regions) > 0 && alltrue([for one in var.regions : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", one))])
    error_message = "regions must name at least one region in full, such as us-east-1; wildcards are refused."
  }
}

variable "instance_types" {
  description = "What may be launched: names, or families such as trn1.*"
  type        = list(string)

  validation {
    condition     = length(var.instance_types) > 0 && alltrue([for one in var.instance_types : can(regex("^[a-z0-9][a-z0-9-]*[.]([*]|[a-z0-9-]+)$", one))])
    error_message = "instance_types must hold names such as trn1.2xlarge, or families such as trn1.*; a lone * is refused."
  }
}

variable "trusted_arns" {
  description = "ARNs of the users or roles who may work as the researcher role; each needs a tag owner of its own."
  type        = list(string)

  validation {
    condition     = length(var.trusted_arns) > 0 && alltrue([for one in var.trusted_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(user|role)/[^*?]+$", one))])
    error_message = "trusted_arns must name users or roles by ARN, without wildcards."
  }
}
