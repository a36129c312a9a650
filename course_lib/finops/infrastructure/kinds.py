"""What the check knows of the resource types in the modules: where their tags stand. An unknown type is a finding.

Source: the providers' references, https://registry.terraform.io/browse/providers (hashicorp/aws, azurerm, google).
"""

from __future__ import annotations

TAGS: dict[str, str | None] = {
    # type: attribute that holds its tags; None where the type has none
    "terraform_data": None,
    "aws_batch_compute_environment": "tags",
    "aws_batch_job_definition": "tags",
    "aws_batch_job_queue": "tags",
    "aws_budgets_budget": "tags",
    "aws_budgets_budget_action": "tags",
    "aws_eip": "tags",
    "aws_iam_instance_profile": "tags",
    "aws_iam_policy": "tags",
    "aws_iam_role": "tags",
    "aws_iam_role_policy_attachment": None,
    "aws_instance": "tags",
    "aws_internet_gateway": "tags",
    "aws_launch_template": "tags",
    "aws_nat_gateway": "tags",
    "aws_route": None,
    "aws_route_table": "tags",
    "aws_route_table_association": None,
    "aws_s3_bucket": "tags",
    "aws_s3_bucket_lifecycle_configuration": None,
    "aws_s3_bucket_ownership_controls": None,
    "aws_s3_bucket_policy": None,
    "aws_s3_bucket_public_access_block": None,
    "aws_s3_bucket_server_side_encryption_configuration": None,
    "aws_s3_bucket_versioning": None,
    "aws_scheduler_schedule": None,
    "aws_scheduler_schedule_group": "tags",
    "aws_security_group": "tags",
    "aws_sns_topic": "tags",
    "aws_sns_topic_policy": None,
    "aws_subnet": "tags",
    "aws_vpc": "tags",
    "aws_vpc_endpoint": "tags",
    "aws_vpc_security_group_egress_rule": "tags",
    "azurerm_consumption_budget_resource_group": None,
    "azurerm_dev_test_global_vm_shutdown_schedule": "tags",
    "azurerm_linux_virtual_machine": "tags",
    "azurerm_network_interface": "tags",
    "azurerm_resource_group": "tags",
    "azurerm_storage_account": "tags",
    "azurerm_storage_container": None,
    "azurerm_storage_management_policy": None,
    "google_billing_budget": None,
    "google_compute_instance": "labels",
    "google_monitoring_notification_channel": "user_labels",
    "google_storage_bucket": "labels",
}
MACHINES = ("aws_instance", "azurerm_linux_virtual_machine", "google_compute_instance")
