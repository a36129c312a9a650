locals {
  labels = {
    owner   = replace(lower(var.owner), "/[^a-z0-9_-]/", "_")
    project = var.project
  }
}

# Google Cloud encrypts buckets at rest always.
resource "google_storage_bucket" "this" {
  name                        = var.bucket_name
  location                    = var.location
  force_destroy               = var.delete_full_bucket
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = local.labels

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      age            = var.checkpoint_days
      matches_prefix = ["checkpoints/"]
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 7
      send_age_if_zero           = false
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }
}
