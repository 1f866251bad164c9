"""What PyTorch's files may hold: code in their pickles, damaged parts, tensors that are no plain weights."""

import os
import pickle
import warnings
import zipfile
from argparse import Namespace

import numpy as np
import pytest
import torch
from cases import byol_a
from weights import save

from gst_listen_export.checkpoint import read
from gst_listen_export.errors import ExportError

FIXED = ("--normalize", "fixed", "--mean", "-7", "--std", "4")


class Evil:
    """Touches a file when it is unpickled."""

    def __reduce__(self):
        return (os.system, (f"touch {Evil.mark}",))


def evil(file, form, protocol):
    # Named once before, so that later protocols write both names as references.
    what = {"posix": "system", "model": Evil()}
    if form == "zip":
        torch.save(what, file, pickle_protocol=protocol)
    elif form == "old":
        torch.save(what, file, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    else:
        file.write_bytes(pickle.dumps(what, protocol=protocol))


@pytest.mark.parametrize("form", ["plain", "zip", "old"])
@pytest.mark.parametrize("protocol", range(6))
def test_code_in_a_pickle_is_named_and_never_executed(command, tmp_path, form, protocol):
    Evil.mark = tmp_path / "executed"
    evil(tmp_path / "evil.pth", form, protocol)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch's, of protocols
        for argv in (
            ("byol-a", tmp_path / "evil.pth", "-o", tmp_path / "p", *FIXED),
            ("inspect", tmp_path / "evil.pth"),
        ):
            status, said = command(*argv)
            assert status == 1 and "the pickle names code, which is never executed: posix.system. Only" in said, said
    assert not Evil.mark.exists() and not (tmp_path / "p").exists()


def test_names_that_are_computed_are_code():
    """A pickle whose STACK_GLOBAL takes what is no string of its own."""
    from gst_listen_export.pickles import code, named

    _, found, _ = named(b"\x80\x04\x8c\x05posix)\x93.")
    assert code(found, ()) == ["posix.?"]


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_later_protocol_without_code_says_what_to_do(command, tmp_path, protocol):
    torch.save({"model": {"a": torch.ones(3)}}, tmp_path / "late.pth", pickle_protocol=protocol)
    status, said = command("inspect", tmp_path / "late.pth")
    assert (
        status == 1 and f"expected a pickle of protocol 2, as torch.save writes it; found protocol {protocol}" in said
    ), said


def test_what_training_programs_write_is_read(tmp_path):
    """Ordered dictionaries, parameters, Namespaces, sizes, sets; in both of PyTorch's forms."""
    state = torch.nn.Linear(3, 2).state_dict() | {"p": torch.nn.Parameter(torch.ones(2))}
    beside = {"args": Namespace(lr=0.1, names={"a"}), "epoch": 3, "shape": torch.Size([2]), "kind": torch.float16}
    for new in (True, False):
        torch.save({"model": state, **beside}, tmp_path / "good.pth", _use_new_zipfile_serialization=new)
        found = read(tmp_path / "good.pth")
        assert set(found.tensors) == {"weight", "bias", "p"} and found.other["args"].lr == 0.1


def flipped(file, name):
    """One bit in the middle of a part of a zip file changed."""
    with zipfile.ZipFile(file) as archive:
        part = next(i for i in archive.infolist() if i.filename.endswith(name))
    data = bytearray(file.read_bytes())
    names = 30 + sum(
        int.from_bytes(data[part.header_offset + at : part.header_offset + at + 2], "little") for at in (26, 28)
    )
    data[part.header_offset + names + part.compress_size // 2] ^= 4
    file.write_bytes(data)


@pytest.mark.parametrize("part", ["data.pkl", "/data/3", "version"])
def test_a_changed_bit_is_found(command, tmp_path, part):
    file = save(byol_a.weights(1, 3, 4, 8), tmp_path / "byola.pth")
    flipped(file, part)
    status, said = command("byol-a", file, "-o", tmp_path / "p", *FIXED)
    assert status == 1 and "expected a checkpoint as it was written; found a damaged part" in said and part in said, (
        said
    )
    assert not (tmp_path / "p").exists()


def test_a_changed_bit_in_a_zip_of_a_folder_is_found(command, tmp_path):
    inner = save(byol_a.weights(1, 3, 4, 8), tmp_path / "byola.pth")
    with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
        archive.write(inner, "folder/byola.pth")
    flipped(tmp_path / "download.zip", "byola.pth")
    status, said = command("byol-a", tmp_path / "download.zip", "-o", tmp_path / "p", *FIXED)
    assert status == 1 and "expected a zip file that is whole; found folder/byola.pth damaged" in said, said


def test_files_without_checksums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        file = save({"a": np.ones(3)}, tmp_path / "a.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read(file).tensors["a"].tolist() == [1, 1, 1]


def quantised(of):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(of, 0.1, 0, torch.qint8)


KINDS = {
    "complex64": lambda of: of.to(torch.complex64),
    "int8": lambda of: of.to(torch.int8),
    "int64": lambda of: of.to(torch.int64),
    "bool": lambda of: of > 0,
    "qint8": quantised,
    "sparse_coo float32": lambda of: of.to_sparse(),
    "sparse_csr float32": lambda of: of.to_sparse_csr(),
    "float8_e4m3fn": lambda of: of.to(torch.float8_e4m3fn),
    "float32 without values (meta)": lambda of: of.to("meta"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_another_kind_is_refused(command, tmp_path, kind):
    state = {k: torch.from_numpy(v) for k, v in byol_a.weights(1, 3, 4, 8).items()}
    state["fc.0.weight"] = KINDS[kind](state["fc.0.weight"])
    torch.save(state, tmp_path / "byola.pth")
    status, said = command("byol-a", tmp_path / "byola.pth", "-o", tmp_path / "p", *FIXED)
    expected = f"expected dense tensors of float16, bfloat16, float32 or float64; found others: fc.0.weight is {kind}\n"
    assert status == 1 and expected in said + "\n", said
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_numbers_are_read(command, tmp_path, dtype):
    state = {k: torch.from_numpy(v) for k, v in byol_a.weights(1, 3, 4, 8).items()}
    state = {
        k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()
    }  # num_batches_tracked stays a whole number
    torch.save(state, tmp_path / "byola.pth")
    status, said = command("byol-a", tmp_path / "byola.pth", "-o", tmp_path / "p", *FIXED)
    assert status == 0, said


def test_nested_tensors_are_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"a": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, tmp_path / "a.pth")
    with pytest.raises(ExportError, match="a.pth: expected"):
        read(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "name, key, change, words",
    [
        ("m2d-clap-2024", "backbone.logit_scale", lambda v: v.to(torch.complex64), "backbone.logit_scale is complex64"),
        (
            "m2d-clap-2024",
            "backbone.logit_scale",
            lambda v: torch.ones(3),
            "logit_scale must be a single number and is [3]",
        ),
        ("m2d-clap-2024", "backbone.logit_scale", lambda v: v * 400, "between -80 and 80; found 1200"),
        (
            "ms-clap",
            "audio_encoder.base.htsat.logmel_extractor.melW",
            lambda v: v.to(torch.complex64),
            "melW is complex64",
        ),
        (
            "laion-clap",
            "module.audio_branch.logmel_extractor.melW",
            lambda v: v.to_sparse(),
            "melW is sparse_coo float32",
        ),
    ],
)
def test_numbers_that_are_read_on_the_way_are_checked_too(command, tmp_path, name, key, change, words):
    from make import cases

    case = next(c for c in cases() if c.name == name)
    source, arguments = case.checkpoint(tmp_path), case.arguments(tmp_path)
    file = next(source.glob("*.pth")) if source.is_dir() else source
    loaded = torch.load(file)
    state = loaded.get("model") or loaded.get("state_dict") or loaded
    state[key] = change(state[key])
    torch.save(loaded, file)
    status, said = command(arguments[0], source, "-o", tmp_path / "p", *arguments[1:])
    assert status == 1 and words.removeprefix("backbone.") in said, said
