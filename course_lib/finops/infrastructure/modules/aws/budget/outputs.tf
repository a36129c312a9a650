output "budget_name" {
  description = "Name of the budget."
  value       = aws_budgets_budget.month.name
}

output "topic_arn" {
  description = "Topic on which the alerts appear."
  value       = aws_sns_topic.alerts.arn
}

output "stopped_roles" {
  description = "The roles that may launch nothing once the budget is used up."
  value       = var.stop_roles
}
