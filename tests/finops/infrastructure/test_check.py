"""The check of modules. Oracle: one defect for each rule, planted by hand in a module that passes; and python-hcl2."""

import pytest

from course_lib.finops.errors import FinopsError
from course_lib.finops.infrastructure import CLOUDS, MODULES, check_module, modules, read_module
from course_lib.finops.infrastructure.references import references

MODULE_NAMES = [str(path.relative_to(MODULES)) for path in modules()]
# module, file, text, its replacement, words of the finding
DEFECTS = {
    "version": ("aws/iam", "versions.tf", "5.100.0", "~> 5.0", "provider aws is not pinned"),
    "terraform": ("gcp/storage", "versions.tf", "required_version = ", "# ", "Terraform's own version is open"),
    "provider": ("gcp/storage", "versions.tf", "google = {", "aws = {", "provider google is used and not required"),
    "unused": ("azure/storage", "main.tf", "var.checkpoint_days", "30", "variable checkpoint_days is used nowhere"),
    "described": ("aws/network", "outputs.tf", 'description = "The network."', "", "output vpc_id has no description"),
    "undeclared": ("aws/storage", "main.tf", "var.bucket_name", "var.bucket", "var.bucket is not declared"),
    "local": ("gcp/budget", "main.tf", "= local.labels", "= local.label", "local.label is not declared"),
    "resource": ("azure/lab-box", "main.tf", "azurerm_network_interface.this.id", "azurerm_network_interface.nic.id",
                 "azurerm_network_interface.nic is not declared"),
    "data": ("aws/network", "main.tf", "data.aws_region.current", "data.aws_region.here", "data.aws_region.here is"),
    "tags": ("aws/network", "main.tf", "tags   = local.tags", "", "aws_route_table.work lacks the tags owner, project"),
    "labels": ("gcp/lab-box", "main.tf", "expires-at = formatdate", "end = formatdate", "lacks the tags expires-at"),
    "type": ("azure/storage", "main.tf", "azurerm_storage_container", "azurerm_storage_share", "unknown to this check"),
    "owner": ("gcp/storage", "variables.tf", 'variable "owner" {', 'variable "owner" {\n  default = ""',
              "variable owner is missing or has a default"),
    "ttl": ("gcp/lab-box", "variables.tf", 'variable "ttl_hours" {', 'variable "ttl_hours" {\n  default = 8',
            "the lease's length can be left out"),
    "shutdown": ("aws/lab-box", "main.tf", '= "terminate"', '= "stop"', "survives its own shutdown"),
    "schedule": ("aws/lab-box", "main.tf", "aws_instance.this.id", "var.subnet_id", "has no schedule that ends it"),
    "imds": ("aws/lab-box", "main.tf", '"required"', '"optional"', "answers IMDSv1"),
    "disk": ("aws/lab-box", "main.tf", "encrypted             = true", "", "has a plain root disk"),
    "deallocate": ("azure/lab-box", "main.tf", "azurerm_linux_virtual_machine.this.id", "var.subnet_id",
                   "has no shutdown schedule"),
    "run time": ("gcp/lab-box", "main.tf", "seconds = local.ttl_seconds", "", "may run forever"),
    "delete": ("gcp/lab-box", "main.tf", '"DELETE"', '"STOP"', "stops, and its disk stays"),
    "idle": ("aws/batch", "main.tf", "min_vcpus           = 0", "min_vcpus = 8", "keeps instances when empty"),
    "timeout": ("aws/batch", "main.tf", "attempt_duration_seconds", "attempts", "train may run forever"),
    "left out": ("aws/storage", "main.tf", "restrict_public_buckets = true", "", "leaves restrict_public_buckets open"),
    "opened": ("aws/storage", "main.tf", "restrict_public_buckets = true", "restrict_public_buckets = false",
               "leaves restrict_public_buckets open"),
    "public": ("gcp/storage", "main.tf", '"enforced"', '"inherited"', "may be made public"),
    "public blobs": ("azure/storage", "main.tf", "to_be_public = false", "to_be_public = true", "may be made public"),
    "hoard": ("gcp/storage", "main.tf", 'type = "Delete"', 'type = "SetStorageClass"', "keeps everything"),
    "account": ("aws/budget", "main.tf", '"budgets.amazonaws.com"', '"arn:aws:iam::210987654321:root"', "an account n"),
    "secret": ("azure/lab-box", "main.tf", "admin_username", 'admin_password = "correct-horse"\n  admin_username',
               "holds what looks like a secret"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULE_NAMES)
def test_a_module_passes_and_says_what_it_is(name):
    path = MODULES / name
    assert check_module(path) == []
    readme = (path / "README.md").read_text()
    assert "## What is not run" in readme
    module = read_module(path)
    lacking = [one for one in (*module.variables, *module.outputs) if f"`{one}`" not in readme]
    assert lacking == []


def test_every_cloud_has_budget_storage_and_a_box():
    for cloud in CLOUDS:
        kinds = {kind for path in modules(cloud) for kind, _ in read_module(path).resources}
        for word in ("budget", "bucket|storage_account", "instance|virtual_machine"):
            assert any(part in kind for kind in kinds for part in word.split("|")), (cloud, word)


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_rule_finds_its_defect(copy_of, defect):
    module, file, old, new, words = DEFECTS[defect]
    found = check_module(copy_of(module, file, [(old, new)]))
    assert any(words in one.what for one in found), found
    assert all(one.remedy for one in found)


def test_the_secret_itself_is_not_repeated(copy_of):
    change = ("admin_username", 'admin_password = "correct-horse"\n  admin_username')
    assert "horse" not in str(check_module(copy_of("azure/lab-box", changes=[change])))


def test_names_in_texts_and_names_of_loops_are_no_references():
    assert references('"aws.s3 ${var.x} and $${var.y}"') == {("var", "x")}
    assert references('${[for one in var.list : "${one.name}-${local.end}"]}') == {("var", "list"), ("local", "end")}
    assert references('${merge(local.tags, {Name = "a.b"})}') == {("local", "tags")}
    assert references("${data.aws_region.current.name}") == {("data", "aws_region", "current")}


def test_a_lifecycle_whose_rules_are_all_off_keeps_everything(copy_of):
    place = copy_of("aws/storage", "main.tf", [('"Enabled"', '"Disabled"')])
    assert any("has no rule that is on" in one.what for one in check_module(place))


def test_an_archive_beside_the_files_and_a_provider_in_the_short_form_are_read(copy_of):
    """Oracle: Terraform's reference: a version alone is a provider's requirement, too; bytes that are no text are."""
    place = copy_of("aws/storage")
    (place / "function.zip").write_bytes(b"PK\x03\x04\xff\xfe")
    assert check_module(place) == []
    versions = (place / "versions.tf").read_text()
    start = versions.index("aws = {")
    long = versions[start : versions.index("}", start) + 1]
    for version, words in (("5.100.0", []), ("~> 5.0", ["provider aws is not pinned (version '~> 5.0')"])):
        (place / "versions.tf").write_text(versions.replace(long, f'aws = "{version}"'))
        assert [one.what for one in check_module(place)] == words


def test_bad_input_is_refused_in_one_line(tmp_path):
    with pytest.raises(FinopsError, match=r"holds no \.tf file"):
        check_module(tmp_path)
    (tmp_path / "main.tf").write_text('resource "aws_s3_bucket" "a" {')
    with pytest.raises(FinopsError, match=r"main\.tf: is no HCL: .*terraform fmt"):
        check_module(tmp_path)
    (tmp_path / "main.tf").write_text('variable "a" {}\nvariable "a" {}\n')
    with pytest.raises(FinopsError, match=r"a is declared twice"):
        check_module(tmp_path)
