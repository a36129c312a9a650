locals {
  tags = {
    owner      = var.owner
    project    = var.project
    expires-at = var.expires_at
  }
}

# Azure's unit of cleaning up: to delete the group deletes everything in it. Nothing on Azure reads expires-at by itself;
# whoever sweeps finds it with `az group list --tag expires-at`.
resource "azurerm_resource_group" "this" {
  name     = "rg-${var.project}"
  location = var.location
  tags     = local.tags
}

resource "azurerm_consumption_budget_resource_group" "month" {
  name              = "guardrail-${var.project}"
  resource_group_id = azurerm_resource_group.this.id
  amount            = var.limit_usd
  time_grain        = "Monthly"

  time_period {
    start_date = var.starts_on
    end_date   = var.expires_at
  }

  notification {
    operator       = "GreaterThan"
    threshold      = 50
    threshold_type = "Actual"
    contact_emails = [var.owner]
  }

  notification {
    operator       = "GreaterThan"
    threshold      = 80
    threshold_type = "Actual"
    contact_emails = [var.owner]
  }

  notification {
    operator       = "GreaterThan"
    threshold      = 100
    threshold_type = "Forecasted"
    contact_emails = [var.owner]
  }
}
