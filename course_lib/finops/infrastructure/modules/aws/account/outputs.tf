output "researcher_role_arn" {
  description = "The role in which researchers work."
  value       = module.iam.researcher_role_arn
}

output "scheduler_role_arn" {
  description = "The role that ends leases; lab boxes need it."
  value       = module.iam.scheduler_role_arn
}

output "subnet_ids" {
  description = "Where lab boxes and jobs start."
  value       = module.network.subnet_ids
}

output "security_group_id" {
  description = "Lets out, and nothing in."
  value       = module.network.security_group_id
}

output "checkpoints" {
  description = "Where checkpoints go."
  value       = module.storage.checkpoints
}

output "budget_topic_arn" {
  description = "Topic on which budget alerts appear."
  value       = module.budget.topic_arn
}
