output "instance_id" {
  description = "The box."
  value       = aws_instance.this.id
}

output "expires_at" {
  description = "When it ends, in UTC."
  value       = local.expires_at
}

output "usd_at_most" {
  description = "What it costs until then, without storage and transfer."
  value       = var.usd_per_hour * var.ttl_hours
}

output "expires_epoch" {
  description = "When it ends, in seconds since 1970-01-01."
  value       = local.epoch
}
