output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.id
}

output "checkpoints" {
  description = "Where checkpoints go; they are deleted after checkpoint_days."
  value       = "s3://${aws_s3_bucket.this.id}/checkpoints/"
}
