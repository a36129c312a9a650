output "virtual_machine_id" {
  description = "The box."
  value       = azurerm_linux_virtual_machine.this.id
}

output "expires_at" {
  description = "When it is deallocated, in UTC."
  value       = local.expires_at
}

output "usd_at_most" {
  description = "What it costs until then, without storage and transfer."
  value       = var.usd_per_hour * var.ttl_hours
}
