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
}

variable "regions" {
  description = "Where launches are allowed."
  type        = list(string)
}

variable "instance_types" {
  description = "What may be launched: names, or families such as trn1.*"
  type        = list(string)
}

variable "trusted_arns" {
  description = "ARNs of the users or roles who may work as the researcher role."
  type        = list(string)
}

variable "bucket_name" {
  description = "Name of the bucket for checkpoints, unique in all of AWS."
  type        = string
}

variable "internet" {
  description = "Way out of the network: none, gateway or nat."
  type        = string
  default     = "gateway"
}

variable "brake" {
  description = "Whether a used-up budget stops launches by the researcher role (a budget action)."
  type        = bool
  default     = true
}

variable "delete_full_bucket" {
  description = "Whether destroy may delete a bucket that has objects in it. Say true for exercises only."
  type        = bool
  default     = false
}
