"""Reads FlatBuffers, the container of TensorFlow Lite files, from its published layout; every offset is checked.

A FlatBuffer is little-endian. Its first four bytes point at the root table, the next four name the schema. A table begins with
the (signed) distance back to its vtable; the vtable holds uint16: its own size, the table's size, then for every field its
place within the table, or 0 where the field has its default. Vectors begin with their length.
"""
import struct

import numpy as np

from gst_listen_export.errors import ExportError


class FlatError(ExportError):
    """The bytes are not a FlatBuffer of this schema, or are cut short."""


class Table:
    """A table at `at` in `data`; fields are read by their number in the schema."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - number(data, "<i", at, "a table")
        size = number(data, "<H", self.vtable, "a vtable")
        if size < 4 or size % 2 or self.vtable + size > len(data):
            raise FlatError(f"expected a vtable of whole fields at byte {self.vtable}, found one of {size} bytes")
        self.fields = (size - 4) // 2

    def _place(self, field):
        if field >= self.fields:
            return None
        place = number(self.data, "<H", self.vtable + 4 + 2 * field, "a field's place")
        return self.at + place if place else None

    def scalar(self, field, form, default=0):
        """A number of `struct` format `form`."""
        place = self._place(field)
        return default if place is None else number(self.data, "<" + form, place, "a number")

    def _target(self, field):
        place = self._place(field)
        return None if place is None else place + number(self.data, "<I", place, "an offset")

    def table(self, field):
        target = self._target(field)
        return None if target is None else Table(self.data, target)

    def _vector(self, field, width):
        target = self._target(field)
        if target is None:
            return 0, 0
        length = number(self.data, "<I", target, "a vector's length")
        if target + 4 + length * width > len(self.data):
            raise FlatError(
                f"expected a vector of {length} x {width} bytes at byte {target + 4}, found the end of the file at byte {len(self.data)}"
            )
        return target + 4, length

    def array(self, field, dtype):
        """A vector of numbers."""
        dtype = np.dtype(dtype).newbyteorder("<")
        start, length = self._vector(field, dtype.itemsize)
        return np.frombuffer(self.data, dtype, length, start)

    def tables(self, field):
        """A vector of tables."""
        start, length = self._vector(field, 4)
        places = [start + 4 * i for i in range(length)]
        return [Table(self.data, p + number(self.data, "<I", p, "an offset")) for p in places]

    def text(self, field):
        start, length = self._vector(field, 1)
        try:
            return self.data[start : start + length].decode()
        except UnicodeDecodeError as e:
            raise FlatError(f"expected UTF-8 at byte {start}, found {e}") from None


def number(data, form, at, what):
    size = struct.calcsize(form)
    if at < 0 or at + size > len(data):
        raise FlatError(f"expected {what} at byte {at}, found the end of the file at byte {len(data)}")
    return struct.unpack_from(form, data, at)[0]


def root(data, identifier):
    """The root table of `data`, which must carry `identifier`."""
    found = bytes(data[4:8])
    if found != identifier:
        raise FlatError(f"expected a FlatBuffer with the identifier {identifier.decode()!r} at byte 4, found {found!r}")
    return Table(data, number(data, "<I", 0, "the root's offset"))
