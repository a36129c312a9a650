"""What starts an instance again after it has ended: told by the tags that AWS sets on the instance itself."""

# Keys that begin with "aws:" can't be set by anybody else.
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/autoscaling-tagging.html
REPLACERS = {
    "aws:autoscaling:groupName": "Auto Scaling group",
    "aws:ec2spot:fleet-request-id": "spot fleet",
    "aws:ec2:fleet-id": "fleet",
}


def replaced_by(tags: dict[str, str]) -> str:
    """The kind and name of what keeps an instance's number up, such as "Auto Scaling group nodes"; "" for nothing.

    A fleet of type "instant" or "request" keeps nothing up, and its instances carry the same tag: the words that are
    made of this must leave that open.
    """
    return next((f"{kind} {tags[tag]}" for tag, kind in REPLACERS.items() if tags.get(tag)), "")
