"""Flink's `_metadata` files: what a checkpoint consists of, and every file that it needs. Pure."""

from penstock.flink.metadata.model import (
    FileReference,
    Kind,
    MasterState,
    Metadata,
    Operator,
    Properties,
    Scope,
    Segment,
    Summary,
    needed,
)
from penstock.flink.metadata.reader import MAGIC, read, scan
from penstock.flink.metadata.source import MetadataError, UnknownVersionError
from penstock.flink.metadata.splits import Elements, Place, Splits

__all__ = [
    "MAGIC",
    "Elements",
    "FileReference",
    "Kind",
    "MasterState",
    "Metadata",
    "MetadataError",
    "Operator",
    "Place",
    "Properties",
    "Scope",
    "Segment",
    "Splits",
    "Summary",
    "UnknownVersionError",
    "needed",
    "read",
    "scan",
]
