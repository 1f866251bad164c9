"""`gst-listen-search index FOLDER --model PACKAGE -o INDEX`, and `gst-listen-search find INDEX "dog barking"`."""

import argparse
import os
import signal
import sys
from pathlib import Path

from gst_listen_search.errors import SearchError


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0; found {text}")
    return number


def parser():
    top = argparse.ArgumentParser(prog="gst-listen-search", description="Finds in a folder of recordings the seconds that match a sentence.")
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    p = sub.add_parser("index", help="listen to a folder of recordings", description="Runs every recording of a folder through melspec ! m2dencode "
                       "and writes its embeddings. What is indexed and unchanged is left alone; it can be stopped and started again.")
    p.add_argument("folder", type=Path, help="folder of recordings, with those below it")
    p.add_argument("--model", type=Path, required=True, help="folder of the package that listens")
    p.add_argument("-o", "--index", type=Path, required=True, help="folder of the index")
    p.add_argument("--output", choices=["clip", "frames"], help="one embedding a window, or a time step (default: the package's)")
    p.add_argument("--window", type=float, metavar="SECONDS", help="length of a window (default: the package's)")
    p.add_argument("--hop", type=float, metavar="SECONDS", help="from window to window (default: the package's)")
    p.add_argument("--accept-license", action="store_true", help="agree to the package's licence")
    p.add_argument("--quiet", action="store_true", help="name only what could not be read")
    p.set_defaults(module="indexing", run="index")
    p = sub.add_parser("find", help="find a sentence", description="Prints file, start, end (seconds) and score, best first, with tabs between. "
                       "Files are named by their path below the folder that was indexed.")
    p.add_argument("index", type=Path, help="folder of the index")
    p.add_argument("sentence", help='what is looked for, such as "dog barking"')
    p.add_argument("--model", type=Path, help="folder of the package (default: where it was when the index was made)")
    p.add_argument("--top", type=positive, default=10, help="how many to print (default: 10)")
    p.add_argument("--score", choices=["calibrated", "cosine"], default="calibrated", help="in 0..1 as clapmatch gives it, or the cosine")
    p.add_argument("--min-score", type=float, help="print none below it")
    p.add_argument("--longest", type=float, default=10.0, metavar="SECONDS", help="longest stretch (default: 10)")
    p.add_argument("--json", action="store_true", help="a line of JSON each, times in nanoseconds")
    p.set_defaults(module="finding", run="find")
    return top


def terminated(_signal, _frame):
    raise SystemExit(143)


def main(argv=None):
    """Runs a command line; ends the process with 0, 1 (what was given is wrong), 2 (the command line is wrong)."""
    from importlib import import_module

    args = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, terminated)
    try:
        status = getattr(import_module(f"gst_listen_search.{args.module}"), args.run)(args)
        sys.stdout.flush()
    except SearchError as error:
        sys.exit(f"gst-listen-search: error: {error}")
    except BrokenPipeError:
        os._exit(0)
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        sys.exit(f"gst-listen-search: error: {error.strerror or error}{place}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status or 0)
