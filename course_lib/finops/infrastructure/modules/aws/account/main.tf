# What a project's account gets once: who may do what, what it may cost, where it runs and where checkpoints go. Lab
# boxes are not in here: they come and go, each in a state of its own.
module "iam" {
  source = "../iam"

  owner          = var.owner
  project        = var.project
  regions        = var.regions
  instance_types = var.instance_types
  trusted_arns   = var.trusted_arns
}

module "budget" {
  source = "../budget"

  owner      = var.owner
  project    = var.project
  limit_usd  = var.limit_usd
  stop_roles = var.brake ? [module.iam.researcher_role_name] : []
}

module "network" {
  source = "../network"

  owner    = var.owner
  project  = var.project
  internet = var.internet
}

module "storage" {
  source = "../storage"

  owner              = var.owner
  project            = var.project
  bucket_name        = var.bucket_name
  delete_full_bucket = var.delete_full_bucket
}
