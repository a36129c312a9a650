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

variable "bucket_name" {
  description = "Name of the bucket, unique in all of Google Cloud."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must be 3 to 63 lower-case letters, digits and hyphens, such as bert-checkpoints-2f6c."
  }
}

variable "location" {
  description = "Region of the bucket: the one of the machines, or every read is charged as transfer."
  type        = string
}

variable "checkpoint_days" {
  description = "Days after which objects under checkpoints/ are deleted."
  type        = number
  default     = 30

  validation {
    condition     = var.checkpoint_days >= 1 && floor(var.checkpoint_days) == var.checkpoint_days
    error_message = "checkpoint_days must be a whole number of at least 1: what nobody deletes is paid for every month."
  }
}

variable "delete_full_bucket" {
  description = "Whether destroy may delete a bucket that has objects in it. Say true for exercises only."
  type        = bool
  default     = false
}
