"""What PyTorch's files hold, read without unpickling: which code their pickles name, and whether their zip is whole."""

import _compat_pickle
import pickletools
import zipfile
import zlib

# The first of the pickles that stand one after the other in PyTorch's old form, and how many there are.
MAGIC, OLD_FORM = 0x1950A86A20F9469CFC6C, 5
PUT = ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT")
GET = ("GET", "BINGET", "LONG_BINGET")


def named(stream):
    """`(protocol, [(module, name), ...], first value)` of one pickle: what its opcodes would import, none of it imported.

    # Errors
    `ValueError` where this is no pickle, or one that is cut short.
    """
    protocol, found, last, memo = 0, [], [], {}
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "PROTO":
            protocol = argument
        elif opcode.name == "FRAME":
            pass  # says how long the next stretch is, and puts nothing on the stack
        elif opcode.name in ("GLOBAL", "INST"):
            found.append(tuple(argument.split(" ", 1)))
            last.append(None)
        elif opcode.name == "STACK_GLOBAL":
            # Both names lie on the stack; where they are no plain strings the pickle computes what it imports.
            found.append(tuple(part if isinstance(part, str) else "?" for part in ([None, None, *last])[-2:]))
            last.append(None)
        elif opcode.name in ("EXT1", "EXT2", "EXT4"):
            found.append(("copyreg", f"extension {argument}"))
            last.append(None)
        elif opcode.name in PUT:
            memo[len(memo) if argument is None else argument] = last[-1] if last else None
        elif opcode.name in GET:
            last.append(memo.get(argument))
        else:
            last.append(argument)
    return protocol, found, next((value for value in last if value is not None), None)


def pickles(path):
    """`(protocol, [(module, name), ...])` of all pickles in a file; None where it holds none that can be read."""
    protocol, found = 0, []
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                streams = [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
            read = [named(stream) for stream in streams]
        else:
            with path.open("rb") as file:
                read = [named(file)]
                while read[0][2] == MAGIC and len(read) < OLD_FORM:
                    read.append(named(file))
    except (ValueError, IndexError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return None
    for of, names, _ in read:
        protocol, found = max(protocol, of), [*found, *names]
    return protocol, found


def code(found, allowed):
    """The names that are neither tensors' own nor among `allowed` (`module.name`), each once."""
    from torch._weights_only_unpickler import _get_allowed_globals

    known, foreign = {*_get_allowed_globals(), *allowed}, []
    for module, name in found:
        # Pickles of protocol 2 have the modules' names of Python 2.
        now = _compat_pickle.NAME_MAPPING.get((module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name))
        if f"{module}.{name}" not in known and ".".join(now) not in known and f"{module}.{name}" not in foreign:
            foreign.append(f"{module}.{name}")
    return foreign


def damaged(path):
    """The part of a zip file that is not what was written, with what is wrong with it; None if there is none.

    PyTorch itself does not compare checksums. Files written without them (`set_crc32_options(False)`) have 0 in their place.
    """
    at = "its directory"
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if all(part.CRC == 0 for part in parts):
                return None
            for part in parts:
                at = part.filename
                with archive.open(part) as packed:
                    while packed.read(1 << 20):
                        pass
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        return f"{at}: {error}"
    except (NotImplementedError, RuntimeError) as error:
        return f"{at}: it is packed in a way that is not read: {error}"
    return None
