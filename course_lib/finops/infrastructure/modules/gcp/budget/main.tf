locals {
  # A label's value takes lower-case letters, digits, hyphens and underscores, which no mail address fits.
  labels = {
    owner   = replace(lower(var.owner), "/[^a-z0-9_-]/", "_")
    project = var.project
  }
}

resource "google_monitoring_notification_channel" "owner" {
  display_name = "Budget of ${var.project}"
  type         = "email"
  user_labels  = local.labels

  labels = {
    email_address = var.owner
  }
}

# A budget of Google Cloud tells and stops nothing; the lifetimes of the machines are the brake.
resource "google_billing_budget" "month" {
  billing_account = var.billing_account
  display_name    = "guardrail-${var.project}"

  budget_filter {
    projects        = ["projects/${var.project_number}"]
    calendar_period = "MONTH"
  }

  amount {
    specified_amount {
      units = tostring(var.limit_usd)
    }
  }

  dynamic "threshold_rules" {
    for_each = toset(var.alert_percent)
    content {
      threshold_percent = threshold_rules.value / 100
      spend_basis       = "CURRENT_SPEND"
    }
  }

  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    monitoring_notification_channels = [google_monitoring_notification_channel.owner.id]
  }
}
