"""Sounds out of other projects' packages: the two containers, and what is picked out of them."""

import struct
import zlib

import pytest

from listen_evaluation import elsewhere


def test_sounds_come_out_of_qt_resources_by_path(tmp_path):
    # A root with a folder, in it a packed sound and a picture.
    names, offsets = b"", {}
    for name in ("animals", "cow.ogg", "cow.png"):
        offsets[name] = len(names)
        names += struct.pack(">HI", len(name), 7) + name.encode("utf-16-be")
    packed = struct.pack(">I", 5) + zlib.compress(b"OggS!")
    content = struct.pack(">I", len(packed)) + packed
    picture = len(content)
    content += struct.pack(">I", 3) + b"PNG"
    node = lambda name, flags, a, b: struct.pack(">IHII", name, flags, a, b)
    file = lambda name, flags, at: struct.pack(">IHHHI", name, flags, 0, 0, at)
    tree = node(0, 2, 1, 1) + node(offsets["animals"], 2, 2, 2)
    tree += file(offsets["cow.ogg"], 1, 0) + file(offsets["cow.png"], 0, picture)
    head = struct.pack(">4sIIII", b"qres", 1, 20, 20 + len(tree), 20 + len(tree) + len(content))
    path = tmp_path / "a.rcc"
    path.write_bytes(head + tree + content + names)
    assert dict(elsewhere.rcc(path)) == {"animals/cow.ogg": b"OggS!"}
    path.write_bytes(b"PK" + path.read_bytes()[2:])
    with pytest.raises(ValueError, match="qres"):
        dict(elsewhere.rcc(path))


def test_sounds_come_out_of_openttds_container_by_number(tmp_path):
    first, second = b"RIFF one", b"RIFF the second"
    entry = lambda name, sound: bytes([len(name)]) + name + sound
    offset = 16
    head = struct.pack("<IIII", offset, len(first), offset + len(entry(b"a\0", first)), len(second))
    path = tmp_path / "a.cat"
    path.write_bytes(head + entry(b"a\0", first) + entry(b"longer\0", second))
    assert dict(elsewhere.cat(path)) == {"00.wav": first, "01.wav": second}


def test_a_sound_is_picked_by_the_end_of_its_path_and_must_be_the_only_one():
    found = dict.fromkeys(("a/animals/cow.ogg", "b/cow_white.ogg", "b/cow.ogg", "music/x.ogg", "music/deep/y.ogg"), b"")
    assert elsewhere.pick(found, "animals/cow.ogg", "p") == ["a/animals/cow.ogg"]
    assert elsewhere.pick(found, "music/", "p") == ["music/deep/y.ogg", "music/x.ogg"]
    with pytest.raises(RuntimeError, match="p has 2 sounds cow.ogg"):
        elsewhere.pick(found, "cow.ogg", "p")
    with pytest.raises(RuntimeError, match="p has 0 sounds"):
        elsewhere.pick(found, "horse.ogg", "p")
