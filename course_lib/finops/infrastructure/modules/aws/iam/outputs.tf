output "researcher_role_arn" {
  description = "The role in which researchers work."
  value       = aws_iam_role.researcher.arn
}

output "researcher_role_name" {
  description = "Its name, for the budget's stop_roles."
  value       = aws_iam_role.researcher.name
}

output "reaper_role_arn" {
  description = "The role of the reaper's function."
  value       = aws_iam_role.reaper.arn
}

output "scheduler_role_arn" {
  description = "The role that ends leases; lab boxes and course finops launch need it."
  value       = aws_iam_role.scheduler.arn
}
