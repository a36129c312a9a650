"""Terraform with the AWS provider, where both are installed; never from the network, and never in the repository."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from course_lib.finops.infrastructure import MODULES, write_modules

PROVIDER = "registry.terraform.io/hashicorp/aws/5.100.0"
ROOT = """
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region            = "us-east-1"
  max_retries       = 3
  s3_use_path_style = true
}

variable "image_id" {
  type    = string
  default = "ami-00000000"
}

module "account" {
  source = "../aws/account"

  owner          = "ada@example.org"
  project        = "bert"
  limit_usd      = 100
  regions        = ["us-east-1"]
  instance_types = ["trn1.2xlarge"]
  trusted_arns   = ["arn:aws:iam::123456789012:role/students"]
  bucket_name    = "bert-checkpoints"
}

module "box" {
  source     = "../aws/lab-box"
  depends_on = [module.account]

  owner              = "ada@example.org"
  project            = "bert"
  ttl_hours          = 4
  budget_usd         = 10
  usd_per_hour       = 1.34375
  instance_type      = "trn1.2xlarge"
  image_id           = var.image_id
  subnet_id          = module.account.subnet_ids[0]
  security_group_ids = [module.account.security_group_id]
  scheduler_role_arn = module.account.scheduler_role_arn
}

output "instance" {
  value = module.box.instance_id
}

output "expires_at" {
  value = module.box.expires_at
}
"""


class Terraform:
    """Runs terraform in a copy of the modules."""

    def __init__(self, folder, plugins):
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))},
            "AWS_ACCESS_KEY_ID": "local-only",
            "AWS_SECRET_ACCESS_KEY": "local-only",
            "AWS_EC2_METADATA_DISABLED": "true",
            "CHECKPOINT_DISABLE": "1",
            "NO_PROXY": "127.0.0.1",
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
        }
        self.plugins = plugins

    def run(self, where, *arguments, good=(0,), **more):
        done = subprocess.run(
            ["terraform", *arguments, "-no-color"],
            cwd=self.folder / where,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode in good, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    def init(self, where):
        self.run(where, "init", "-input=false", f"-plugin-dir={self.plugins}")

    def outputs(self, where):
        told = json.loads(self.run(where, "output", "-json").stdout)
        return {name: one["value"] for name, one in told.items()}


def _plugins():
    """A folder with the provider in Terraform's own layout, or None."""
    home = Path.home()
    usual = [home / ".terraform.d/plugins", home / ".local/share/terraform/plugins"]
    usual += [Path("/usr/local/share/terraform/plugins"), Path("/usr/share/terraform/plugins")]
    given = os.environ.get("COURSE_TF_PLUGINS")
    places = [Path(given)] if given else [*usual, *sorted(Path("/opt").glob("*"))]
    return next((place for place in places if (place / PROVIDER).is_dir()), None)


@pytest.fixture(scope="session")
def terraform(tmp_path_factory):
    """Terraform in a copy of every module, with a root that calls the AWS ones."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed: the modules were read by python-hcl2 alone")
    plugins = _plugins()
    if plugins is None:
        pytest.skip(f"no local copy of {PROVIDER}: put one into ~/.terraform.d/plugins or set COURSE_TF_PLUGINS")
    folder = tmp_path_factory.mktemp("terraform")
    write_modules(folder / "all")
    shutil.copytree(folder / "all" / "aws", folder / "aws")
    (folder / "root").mkdir()
    (folder / "root" / "main.tf").write_text(ROOT)
    return Terraform(folder, plugins)


@pytest.fixture
def copy_of(tmp_path):
    """Copies a module, with texts in one of its files replaced; each must be there."""

    def make(module, file="main.tf", changes=()):
        folder = tmp_path / module
        shutil.copytree(MODULES / module, folder)
        text = (folder / file).read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        (folder / file).write_text(text)
        return folder

    return make
