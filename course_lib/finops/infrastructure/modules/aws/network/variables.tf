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

variable "cidr" {
  description = "Private addresses of the network."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 15))
    error_message = "cidr must be an IPv4 range that can be divided by 16, such as 10.20.0.0/16."
  }
}

variable "zones" {
  description = "In how many Availability Zones: capacity for accelerators is often in one of them only."
  type        = number
  default     = 2

  validation {
    condition     = var.zones >= 1 && var.zones <= 6 && floor(var.zones) == var.zones
    error_message = "zones must be a whole number from 1 to 6."
  }
}

variable "internet" {
  description = "Way out: none, gateway (public addresses, no charge by the hour for the gateway) or nat."
  type        = string
  default     = "gateway"

  validation {
    condition     = contains(["none", "gateway", "nat"], var.internet)
    error_message = "internet must be none, gateway or nat; nat costs money by the hour and by the gigabyte."
  }
}
