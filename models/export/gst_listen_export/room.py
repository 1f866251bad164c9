"""Room on disks, and what runs that were killed left behind there."""

import errno
import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path

from gst_listen_export.errors import ExportError


def enough_room(folder, size, what):
    """# Errors
    Less room than `size` bytes on the disk that holds `folder`.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ExportError(f"{folder}: {what} needs {size / 1e6:.1f} MB; {free / 1e6:.1f} MB are free there")


def is_full(error):
    """Whether an exception says that a disk, or what a user may have of it, is full: the system's own, or a writer's with its words in it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT))


def full(folder, what, size=None):
    """The error for a disk that is full, with how much is free now where it was written: writers hardly ever say which disk it was."""
    places = [Path(folder)]
    if os.stat(tempfile.gettempdir()).st_dev != os.stat(folder).st_dev:
        places.append(Path(tempfile.gettempdir()))
    free = ", ".join(f"{shutil.disk_usage(place).free / 1e6:.1f} MB are free in {place}" for place in places)
    needs = f"; it needs about {size / 1e6:.1f} MB there" if size else ""
    return ExportError(f"{folder}: No space left while {what} was written{needs}; {free}")


class Scratch:
    """A hidden folder `.NAME.partial-…` beside a package's place, locked as long as this process lives.

    The lock tells the next run which of these folders nobody writes to any more, whichever process made them and however it
    ended. Where a disk knows no locks nothing is removed.
    """

    def __init__(self, output):
        mark, parent = f".{output.name}.partial-", output.absolute().parent
        remove_left_over(parent, mark)
        while True:
            self.folder = Path(tempfile.mkdtemp(prefix=mark, dir=parent))
            try:
                self.lock = locked(self.folder)
            except OSError:
                self.lock = None
                return
            if self.lock is not None and self.folder.exists():
                return
            # Before it was locked another run took it for one that was left over.
            self.close()

    def close(self):
        """Removes the folder, if it is still there, and lets go of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def remove_left_over(parent, mark):
    """Removes what runs left in `parent` that were killed, and says so; what another run is writing stays."""
    for folder in sorted(path for path in parent.iterdir() if path.name.startswith(mark)):
        try:
            lock = locked(folder)
        except OSError:
            continue
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            print(
                f"{folder}: left by a run that was killed; {'could not be removed' if folder.exists() else 'removed'}",
                file=sys.stderr,
            )


def locked(folder):
    """A descriptor that holds the folder's lock; None where another process holds it.

    # Errors
    `OSError` where the folder is not there or its disk knows no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
