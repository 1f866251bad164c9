"""`gst-listen-export FAMILY SOURCE -o PACKAGE`, and the subcommands beside the families."""

import argparse
import importlib
import os
import pkgutil
import signal
import sys
from pathlib import Path

from gst_listen_export import __version__, commands, families
from gst_listen_export.errors import ExportError
from gst_listen_export.room import full, is_full

# What optional parts need, and the extra of pyproject.toml that brings it.
EXTRAS = {"transformers": "text", "jinja2": "text", "sklearn": "probe", "ai_edge_litert": "litert"}


def modules(package):
    """The modules of `families/` or `commands/`, by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def precisions(text):
    """`fp32,int8` as a list; fp32 is always there."""
    asked = [p.strip() for p in text.split(",") if p.strip()]
    unknown = sorted(set(asked) - {"fp32", "fp16", "int8"})
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown precision {', '.join(unknown)}: expected fp32, fp16, int8")
    return [p for p in ("fp32", "fp16", "int8") if p in {"fp32", *asked}]


def common_arguments(parser):
    """What every family takes. A family that needs no source file says so with `SOURCE_HELP`."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the package to be written")
    parser.add_argument("--id", help="id of the package: a-z 0-9 . _ - (default: made of the source's name)")
    parser.add_argument("--description", help="one sentence for people")
    parser.add_argument("--precision", type=precisions, default=["fp32"], metavar="P,P",
                        help="graphs to write: fp32 (always), fp16, int8")
    parser.add_argument("--int8", choices=["dynamic", "static"],
                        help="how int8 is made: scales per run (runs at batch 1) or fixed beforehand (default: the family's)")
    parser.add_argument("--sounds", type=Path, metavar="FOLDER",
                        help="16-bit WAV files at the model's rate: reduced precisions are made and measured on them "
                             "(default: sounds made by formula)")
    parser.add_argument("--license-file", type=Path, metavar="FILE", help="text of the weights' licence, to be put into the package")
    parser.add_argument("--ignore", action="append", default=[], metavar="PATTERN",
                        help="tensors of these names are left out though they are unknown (may be given again)")
    parser.add_argument("--replace", action="store_true", help="replace the package if it is there")


def parser():
    top = argparse.ArgumentParser(prog="gst-listen-export", description="Makes a model package of a checkpoint that you have.")
    top.add_argument("--version", action="version", version=__version__)
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in modules(families):
        p = sub.add_parser(module.NAME, help=module.HELP, description=module.__doc__,
                           formatter_class=argparse.RawDescriptionHelpFormatter)
        p.add_argument("source", type=Path, help=getattr(module, "SOURCE_HELP", "the checkpoint: a file, a folder or a .zip of one"))
        common_arguments(p)
        module.add_arguments(p)
        p.set_defaults(run=module.export)
    for module in modules(commands):
        p = sub.add_parser(module.NAME, help=module.HELP, description=module.__doc__,
                           formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(p)
        p.set_defaults(run=module.run)
    return top


def terminated(_signal, _frame):
    raise SystemExit(143)  # half-written packages are removed on the way out


def main(argv=None):
    """Runs a command line; ends the process with 0, 1 (what was given is wrong), 2 (the command line is wrong)."""
    args = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, terminated)
    try:
        status = args.run(args)
        sys.stdout.flush()
    except ExportError as error:
        sys.exit(f"gst-listen-export: error: {error}")
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        sys.exit(f"gst-listen-export: error: this needs {error.name}, which is not installed: pip install './models/export[{extra}]'")
    except BrokenPipeError:
        os._exit(0)  # whoever read our words has enough; nothing is left to flush
    except OSError as error:
        if is_full(error) and not error.filename:
            sys.exit(f"gst-listen-export: error: {full(getattr(args, 'output', Path()).absolute().parent, 'what was asked for')}")
        place = f": {error.filename}" if error.filename else ""
        sys.exit(f"gst-listen-export: error: {error.strerror or error}{place}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status or 0)
