locals {
  expires_at = timeadd(terraform_data.start.output, "${ceil(var.ttl_hours * 3600)}s")
  tags = {
    owner      = var.owner
    project    = var.project
    expires-at = local.expires_at
  }
}

# The moment of the first apply, kept in the state: without it the end would move with every later apply.
resource "terraform_data" "start" {
  input = plantimestamp()

  lifecycle {
    ignore_changes = [input]
  }
}

resource "azurerm_network_interface" "this" {
  name                = "nic-${var.project}"
  location            = var.location
  resource_group_name = var.resource_group_name
  tags                = local.tags

  ip_configuration {
    name                          = "inside"
    subnet_id                     = var.subnet_id
    private_ip_address_allocation = "Dynamic"
  }
}

resource "azurerm_linux_virtual_machine" "this" {
  name                            = "vm-${var.project}"
  location                        = var.location
  resource_group_name             = var.resource_group_name
  size                            = var.size
  admin_username                  = "researcher"
  disable_password_authentication = true
  network_interface_ids           = [azurerm_network_interface.this.id]
  priority                        = var.spot ? "Spot" : "Regular"
  eviction_policy                 = var.spot ? "Delete" : null
  tags                            = local.tags

  admin_ssh_key {
    username   = "researcher"
    public_key = var.ssh_public_key
  }

  os_disk {
    caching              = "ReadWrite"
    storage_account_type = "Premium_LRS"
    disk_size_gb         = 128
  }

  source_image_reference {
    publisher = var.image.publisher
    offer     = var.image.offer
    sku       = var.image.sku
    version   = var.image.version
  }

  lifecycle {
    precondition {
      condition     = timecmp(local.expires_at, plantimestamp()) > 0
      error_message = "${local.expires_at} is past: destroy, then apply."
    }
  }
}

# Azure's schedule knows a time of day and no date. A lease shorter than a day makes its first firing the right one. It
# deallocates the machine: the hours of compute end there, the disk is paid for until terraform destroy. A shutdown from
# inside would leave the machine allocated and billed, so there is no timer in it.
resource "azurerm_dev_test_global_vm_shutdown_schedule" "end" {
  virtual_machine_id    = azurerm_linux_virtual_machine.this.id
  location              = var.location
  enabled               = true
  daily_recurrence_time = formatdate("hhmm", local.expires_at)
  timezone              = "UTC"
  tags                  = local.tags

  notification_settings {
    enabled         = true
    email           = var.owner
    time_in_minutes = 30
  }
}
