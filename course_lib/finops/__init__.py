"""FinOps: what a run costs, the guardrails around it, and an AWS-compatible account to practise on."""
