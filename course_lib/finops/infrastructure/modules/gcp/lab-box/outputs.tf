output "instance_id" {
  description = "The box."
  value       = google_compute_instance.this.instance_id
}

output "expires_at" {
  description = "About when it is deleted, in UTC: the platform counts from the start of the machine."
  value       = local.expires_at
}

output "usd_at_most" {
  description = "What it costs until then, without storage and transfer."
  value       = var.usd_per_hour * var.ttl_hours
}
