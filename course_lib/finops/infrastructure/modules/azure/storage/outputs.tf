output "account_name" {
  description = "Name of the storage account."
  value       = azurerm_storage_account.this.name
}

output "container" {
  description = "Where checkpoints go; they are deleted after checkpoint_days."
  value       = azurerm_storage_container.checkpoints.name
}
