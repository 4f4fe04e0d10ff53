"""A walk over the Java-serialized CheckpointProperties at the end of a `_metadata` file. No object is ever made of it.

Only what that class needs of the Java Object Serialization Stream Protocol (chapter 6 of its specification) is known:
objects with default fields, strings, enums, back references. Anything else is an error, since its end is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.flink.metadata.model import Properties
from penstock.flink.metadata.source import MetadataError, Source

_STREAM = 0xACED0005
_NULL, _REFERENCE, _CLASS, _OBJECT, _STRING, _END, _ENUM = 0x70, 0x71, 0x72, 0x73, 0x74, 0x78, 0x7E
_FIRST_HANDLE = 0x7E0000
_SERIALIZABLE, _ENUM_CLASS = 0x02, 0x12
"""Flags of a class: default fields only, and an enum. Others carry data that only the class understands."""
_WIDTHS = {"B": 1, "C": 2, "D": 8, "F": 4, "I": 4, "J": 8, "S": 2, "Z": 1}
_MOST_HANDLES = 256
_MOST_DEPTH = 16
"""Flink's object has 12 handles and is 3 deep."""


@dataclass(frozen=True)
class _Class:
    name: str
    enum: bool
    fields: tuple[int, ...]
    """Bytes of each primitive field; 0 for an object. Primitive ones come first."""
    parent: _Class | None


class _Walk:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._handles: list[_Class | None] = []
        self.names: list[str] = []

    def value(self, depth: int = 0) -> None:
        """An object, an enum constant, a string, a reference to an earlier one, or null."""
        begin = self._source.offset
        tag = self._source.u8("a Java object")
        if depth > _MOST_DEPTH:
            raise MetadataError(begin, f"Java objects at most {_MOST_DEPTH} deep", "deeper ones")
        if tag == _OBJECT:
            self._object(depth)
        elif tag == _ENUM:
            self._enum(depth)
        elif tag == _STRING:
            self._remember(None)
            self._source.text("a Java string")
        elif tag == _REFERENCE:
            self._reference()
        elif tag != _NULL:
            raise MetadataError(begin, "a Java object, string, enum, reference or null", f"tag {tag}")

    def _object(self, depth: int) -> None:
        begin = self._source.offset
        found = self._class(depth + 1)
        if found is None or found.enum:
            raise MetadataError(begin, "the class of a Java object", "none")
        self._remember(None)
        chain = [found]
        while chain[-1].parent is not None:
            chain.append(chain[-1].parent)
        for each in reversed(chain):
            for width in each.fields:
                if width:
                    self._source.skip(width, "a Java field")
                else:
                    self.value(depth + 1)

    def _enum(self, depth: int) -> None:
        begin = self._source.offset
        found = self._class(depth + 1)
        if found is None or not found.enum:
            raise MetadataError(begin, "the class of a Java enum", "none")
        self._remember(None)
        begin = self._source.offset
        tag = self._source.u8("the constant of a Java enum")
        if tag == _STRING:
            self._remember(None)
            self.names.append(self._source.text("the constant of a Java enum"))
        elif tag == _REFERENCE:
            self._reference()
        else:
            raise MetadataError(begin, "the constant of a Java enum", f"tag {tag}")

    def _class(self, depth: int) -> _Class | None:
        """A class, written out or by reference; None where a class has no parent that is written."""
        begin = self._source.offset
        tag = self._source.u8("a Java class")
        if tag == _NULL:
            return None
        if tag == _REFERENCE:
            found = self._reference()
            if found is None:
                raise MetadataError(begin, "a reference to a Java class", "one to something else")
            return found
        if tag != _CLASS or depth > _MOST_DEPTH:
            raise MetadataError(begin, f"a Java class, at most {_MOST_DEPTH} deep", f"tag {tag}")
        return self._new_class(depth)

    def _new_class(self, depth: int) -> _Class:
        source = self._source
        name = source.text("the name of a Java class")
        source.skip(8, "the version of a Java class")
        handle = self._remember(None)
        begin = source.offset
        flags = source.u8("the flags of a Java class")
        if flags not in (_SERIALIZABLE, _ENUM_CLASS):
            raise MetadataError(begin, "a Java class with default fields (flags 2 or 18)", f"flags {flags}")
        fields = tuple(self._field(depth) for _ in range(source.u16("the number of Java fields")))
        begin = source.offset
        tag = source.u8("the end of a Java class")
        if tag != _END:
            raise MetadataError(begin, "the end of a Java class", f"tag {tag}")
        if not name.startswith("java."):
            self.names.append(name.rpartition(".")[2].rpartition("$")[2])
        found = _Class(name, flags == _ENUM_CLASS, fields, self._class(depth + 1))
        self._handles[handle] = found
        return found

    def _field(self, depth: int) -> int:
        begin = self._source.offset
        code = chr(self._source.u8("the type of a Java field"))
        self._source.text("the name of a Java field")
        if code in ("L", "["):
            self.value(depth + 1)  # the type's name, as a string object
            return 0
        if code not in _WIDTHS:
            raise MetadataError(begin, "the type of a Java field", ascii(code))
        return _WIDTHS[code]

    def _reference(self) -> _Class | None:
        begin = self._source.offset
        number = self._source.i32("a Java reference") - _FIRST_HANDLE
        if not 0 <= number < len(self._handles):
            raise MetadataError(begin, "a reference to an earlier Java object", f"number {number}")
        return self._handles[number]

    def _remember(self, found: _Class | None) -> int:
        if len(self._handles) == _MOST_HANDLES:
            raise MetadataError(self._source.offset, f"at most {_MOST_HANDLES} Java objects", "more")
        self._handles.append(found)
        return len(self._handles) - 1


def read_properties(source: Source) -> Properties | None:
    """Walk over the properties; None when Flink wrote null."""
    begin = source.offset
    magic = source.u32("the beginning of Java-serialized properties")
    if magic != _STREAM:
        raise MetadataError(begin, f"Java-serialized properties ({_STREAM:#010x})", f"{magic:#010x}")
    walk = _Walk(source)
    walk.value()
    return Properties(source.offset - begin, tuple(walk.names)) if walk.names else None
