output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "subnet_ids" {
  description = "The subnets, one for each Availability Zone."
  value       = [for zone in local.zones : aws_subnet.work[zone].id]
}

output "security_group_id" {
  description = "Lets out, and nothing in."
  value       = aws_security_group.work.id
}

output "nat_gateways" {
  description = "How many NAT gateways cost money by the hour here."
  value       = length(aws_nat_gateway.this)
}
