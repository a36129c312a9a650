data "aws_availability_zones" "usable" {
  state = "available"
}

data "aws_region" "current" {}

locals {
  tags = {
    owner      = var.owner
    project    = var.project
    managed-by = "course-guardrails"
  }
  zones   = slice(data.aws_availability_zones.usable.names, 0, var.zones)
  gateway = var.internet != "none"
  nat     = var.internet == "nat"
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.tags, { Name = var.project })
}

# The subnets in which jobs and lab boxes run.
resource "aws_subnet" "work" {
  for_each = { for index, zone in local.zones : zone => index }

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 4, each.value)
  map_public_ip_on_launch = var.internet == "gateway"
  tags                    = merge(local.tags, { Name = "${var.project}-${each.key}" })
}

resource "aws_route_table" "work" {
  vpc_id = aws_vpc.this.id
  tags   = local.tags
}

resource "aws_route_table_association" "work" {
  for_each = aws_subnet.work

  subnet_id      = each.value.id
  route_table_id = aws_route_table.work.id
}

# Checkpoints reach S3 through this, without the internet and without a charge.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${data.aws_region.current.name}.s3"
  route_table_ids   = [aws_route_table.work.id]
  tags              = local.tags
}

# Out to everywhere, in from nowhere: a shell comes through Session Manager, not through an open port.
resource "aws_security_group" "work" {
  name        = "${var.project}-work"
  description = "Out to everywhere, in from nowhere."
  vpc_id      = aws_vpc.this.id
  tags        = local.tags
}

resource "aws_vpc_security_group_egress_rule" "out" {
  security_group_id = aws_security_group.work.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}
