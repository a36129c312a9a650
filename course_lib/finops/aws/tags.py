"""Tags: boto3's list of keys and values, and the dictionary that the rest of this room uses."""

from __future__ import annotations

from typing import Any


def tags_of(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """boto3's list of tags as a dictionary."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags or ()}


def tag_list(tags: dict[str, str]) -> list[dict[str, Any]]:
    """A dictionary as boto3's list of tags."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
