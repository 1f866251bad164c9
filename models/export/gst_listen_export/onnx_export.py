"""PyTorch modules to ONNX graphs, and graphs to lower precisions, each compared with what it came from."""

import logging
import shutil
import warnings

import numpy as np

from gst_listen_export.errors import ExportError
from gst_listen_export.half import to_fp16

OPSET = 17  # the first with LayerNormalization as one operator
MIN_COSINE = 0.995  # of a reduced precision to fp32
MAX_ABS = 1e-4  # of a graph to its PyTorch module, relative to the largest value


def export(module, examples, path, inputs, outputs, dynamic):
    """Traces `module` into `path` and compares the graph with it.

    `examples`: tuples of tensors; the first is traced, and must be shorter than the longest input (what is traced at the
    maximum would be baked in); the others, of other batches and lengths, must give the same numbers in graph and module.
    `inputs`, `outputs`: names. `dynamic`: {name: {dimension: its name}}.

    # Errors
    The graph and the module differ.
    """
    import onnx
    import torch

    module = module.eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, examples[0], str(path), input_names=list(inputs), output_names=list(outputs),
                          dynamic_axes=dynamic, opset_version=OPSET, dynamo=False, do_constant_folding=True)
    onnx.checker.check_model(str(path))
    compare(module, examples, path, inputs)


def compare(module, examples, path, inputs):
    import torch

    session = open_session(path)
    for example in examples:
        with torch.no_grad():
            expected = module(*example)
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = session.run(None, {n: e.numpy() for n, e in zip(inputs, example, strict=True)})
        for theirs, ours in zip(found, expected, strict=True):
            ours = ours.numpy()
            shape = [list(e.shape) for e in example]
            if theirs.shape != ours.shape:
                raise ExportError(f"{path.name}: for inputs {shape} PyTorch gives {list(ours.shape)}, the graph {list(theirs.shape)}")
            worst = float(np.abs(theirs - ours).max(initial=0)) / max(1.0, float(np.abs(ours).max(initial=0)))
            if not worst <= MAX_ABS:
                raise ExportError(f"{path.name}: graph and PyTorch differ by {worst:.1e} for inputs {shape}; at most {MAX_ABS:.0e}")


def open_session(path):
    """With the numbers of the runtime: int8 without overflow on processors without VNNI too, where ONNX Runtime can do that."""
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail

    def opened(exact, severity):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = severity
        options.add_session_config_entry("session.x64quantprecision", exact)
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    try:
        return opened("1", 4)
    except Fail:
        return opened("0", 3)


def open_graph(path):
    """A session of a graph that a user gave.

    # Errors
    ONNX Runtime cannot open it.
    """
    try:
        return open_session(path)
    except Exception as error:  # ONNX Runtime's own
        raise ExportError(f"{path}: expected a graph that ONNX Runtime opens; it says: {str(error).strip().splitlines()[-1]}") from None


def pooled(output):
    """What stands for a window in a comparison: the mean over its vectors; or the vector itself."""
    return output.mean(axis=1) if output.ndim == 3 else output


def reduce(folder, stem, wanted, feeds, int8, embed=pooled, in_graph=False):
    """Writes the graphs beside `folder/stem.onnx` that `wanted` names; gives the manifest's `encoder.graphs`.

    `feeds`: two lists of inputs of the graph ({name: array} each, one window of sound each): static int8's scales are taken
    from the first, and cosines from the second, of which the graphs know nothing. `int8`: `dynamic` (one scale for what runs
    together: batch 1) or `static` (any batch). `embed` makes `[B, D]` of the graph's first output. `in_graph`: the graph has
    a front end, which no precision but int8 touches.

    # Errors
    A mean cosine to fp32 below 0.995.
    """
    source, graphs = folder / f"{stem}.onnx", {"fp32": {"file": f"{stem}.onnx"}}
    truth = None
    for precision in wanted:
        if precision == "fp32":
            continue
        calibration, held_out = feeds
        file = folder / f"{stem}.{precision}.onnx"
        if precision == "fp16":
            to_fp16(source, file, in_graph)
        elif int8 == "dynamic":
            to_dynamic_int8(source, file)
        else:
            to_static_int8(source, file, calibration)
        truth = run_all(source, held_out, embed) if truth is None else truth
        found = cosines(run_all(file, held_out, embed), truth)
        mean, told = float(found.mean()), f"over {len(held_out)} windows that it was not made with, the smallest {found.min():.4f}"
        if not mean >= MIN_COSINE:
            raise ExportError(f"{precision}: its mean cosine to fp32 is {mean:.4f} {told}; at least {MIN_COSINE} is needed")
        print(f"{precision}: mean cosine to fp32 {mean:.6f} {told}")
        graphs[precision] = {"file": file.name, "cosine": round(min(mean, 1.0), 6)}
        if precision == "int8" and int8 == "dynamic":
            graphs[precision]["max_batch"] = 1
    return graphs


def run_all(path, feeds, embed):
    session = open_session(path)
    return np.concatenate([embed(session.run(None, feed)[0]) for feed in feeds])


def cosines(a, b):
    """Of each window, `[N]`."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.maximum(lengths, 1e-30)


def prepared(source, path):
    """The graph with its shapes inferred, as the quantiser wants it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(source), str(path), skip_symbolic_shape=True)
    return path


def to_dynamic_int8(source, path):
    """Matrices in int8, signed, a scale per output channel; activations are scaled by each run."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_scratch(path) as ready:
        quantize_dynamic(str(prepared(source, ready)), str(path), op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
                         weight_type=QuantType.QInt8)


def to_static_int8(source, path, feeds, op_types=("Conv", "MatMul", "Gemm")):
    """QDQ: weights in int8, signed, a scale per output channel; activations with scales found on `feeds`."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Feeds(CalibrationDataReader):
        def __init__(self):
            self.left = iter(feeds)

        def get_next(self):
            return next(self.left, None)

    with quiet_scratch(path) as ready:
        quantize_static(str(prepared(source, ready)), str(path), Feeds(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=list(op_types))


class quiet_scratch:
    """A scratch file beside `path`, while the quantiser's own advice is not logged."""

    def __init__(self, path):
        self.folder = path.parent / f".{path.name}.scratch"

    def __enter__(self):
        self.level = logging.root.level
        logging.root.setLevel(logging.ERROR)
        self.folder.mkdir()
        return self.folder / "prepared.onnx"

    def __exit__(self, *_):
        logging.root.setLevel(self.level)
        shutil.rmtree(self.folder, ignore_errors=True)
