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

variable "instance_types" {
  description = "Instance types that the queue may start, such as trn1.2xlarge."
  type        = list(string)

  validation {
    condition     = length(var.instance_types) > 0 && !contains(var.instance_types, "optimal")
    error_message = "instance_types must name the types; \"optimal\" lets AWS choose, and it never chooses an accelerator."
  }
}

variable "max_vcpus" {
  description = "The most vCPUs that run at once: the hard limit of what the queue can cost by the hour."
  type        = number

  validation {
    condition     = var.max_vcpus >= 1 && floor(var.max_vcpus) == var.max_vcpus
    error_message = "max_vcpus must be a whole number of at least 1."
  }
}

variable "ttl_hours" {
  description = "Hours after which an attempt of a job is ended, finished or not."
  type        = number

  validation {
    condition     = var.ttl_hours > 0 && var.ttl_hours <= 336
    error_message = "ttl_hours must be above 0 and at most 336, which is 14 days."
  }
}

variable "image" {
  description = "The container's image, with a tag or digest that does not move."
  type        = string

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[A-Za-z0-9._-]+)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image must end in a tag or a digest, and not in :latest, which is another image tomorrow."
  }
}

variable "command" {
  description = "What the container runs."
  type        = list(string)
}

variable "vcpus" {
  description = "vCPUs of a job."
  type        = number
  default     = 8
}

variable "memory_mib" {
  description = "Memory of a job, MiB; below the instance's, which keeps some for itself."
  type        = number
  default     = 28000
}

variable "devices" {
  description = "Neuron devices of a job; 0 for none."
  type        = number
  default     = 1

  validation {
    condition     = var.devices >= 0 && var.devices <= 16 && floor(var.devices) == var.devices
    error_message = "devices must be a whole number from 0 to 16."
  }
}

variable "spot" {
  description = "Whether to run on spot capacity, with retries when it is taken back."
  type        = bool
  default     = true
}

variable "subnet_ids" {
  description = "Where instances start; they need a way to the ECS endpoint."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids must hold at least one subnet."
  }
}

variable "security_group_ids" {
  description = "Security groups of the instances."
  type        = list(string)
}
