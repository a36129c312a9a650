"""A guardrails file to start from."""

EXAMPLE = """\
# What guards an account. `course finops guard plan FILE` says what would change, `apply` does it.
regions = ["us-east-1", "us-west-2"]          # work is allowed here only
instance_types = ["trn1.*", "inf2.*", "g6.*"]  # and on these only: names, or families
required_tags = ["project"]                   # beside owner and expires-at
researchers = ["researchers"]                 # groups in IAM, which must be there: they may launch, within all this

[[budget]]                                    # of the whole account; with tags = {project = "bert"} of one project
name = "training"
usd_per_month = 500

[[budget.alert]]                              # a mail when four fifths are spent ...
percent = 80
to = ["ada@example.org"]                      # put your address here

[[budget.alert]]                              # ... and one when the month is forecast to cost more than all of it
percent = 100
kind = "forecasted"
to = ["ada@example.org"]

[[budget.stop]]                               # from here on nobody of the group can launch; what runs, runs on
percent = 100
groups = ["researchers"]
to = ["ada@example.org"]

[[launch]]                                    # the quota must suffice for this
instance_type = "trn1.2xlarge"
count = 1
region = "us-east-1"
"""
