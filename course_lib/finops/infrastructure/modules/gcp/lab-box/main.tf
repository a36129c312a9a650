locals {
  ttl_seconds = ceil(var.ttl_hours * 3600)
  expires_at  = timeadd(terraform_data.start.output, "${local.ttl_seconds}s")
  labels = {
    owner      = replace(lower(var.owner), "/[^a-z0-9_-]/", "_")
    project    = var.project
    expires-at = formatdate("YYYY-MM-DD't'hh-mm-ss'z'", local.expires_at)
  }
}

# The moment of the first apply, kept in the state: without it the end would move with every later apply.
resource "terraform_data" "start" {
  input = plantimestamp()

  lifecycle {
    ignore_changes = [input]
  }
}

# The platform itself counts the run time and deletes the machine: no timer inside, no scheduler beside it.
resource "google_compute_instance" "this" {
  name                = "lab-${var.project}"
  zone                = var.zone
  machine_type        = var.machine_type
  deletion_protection = false
  labels              = local.labels

  boot_disk {
    auto_delete = true

    initialize_params {
      image  = var.image
      size   = 100
      labels = local.labels
    }
  }

  network_interface {
    subnetwork = var.subnetwork
  }

  scheduling {
    provisioning_model          = var.spot ? "SPOT" : "STANDARD"
    preemptible                 = var.spot
    automatic_restart           = false
    on_host_maintenance         = "TERMINATE"
    instance_termination_action = "DELETE"

    max_run_duration {
      seconds = local.ttl_seconds
    }
  }

  shielded_instance_config {
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }
}
