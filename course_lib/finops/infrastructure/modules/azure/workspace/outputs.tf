output "resource_group_name" {
  description = "The group in which everything else is made."
  value       = azurerm_resource_group.this.name
}

output "location" {
  description = "Its region."
  value       = azurerm_resource_group.this.location
}
