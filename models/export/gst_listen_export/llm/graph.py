"""A small writer of ONNX graphs: nodes in order, weights as initialisers, large ones outside the file."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR = 8
INLINE_BYTES = 1 << 30
"""Weights above this together stand in files beside the graph, each at most about so long (a package file: 2 GiB)."""


def per_row(weight):
    """A matrix `[rows, columns]` as int8 and the scale of each row `[rows]`."""
    scales = np.maximum(np.abs(weight).max(axis=1), np.finfo(np.float32).tiny * 128).astype(np.float32) / 127
    return np.clip(np.rint(weight / scales[:, None]), -127, 127).astype(np.int8), scales


class Graph:
    """Nodes and weights of one graph; every method gives the name of what it made."""

    def __init__(self, name, int8=False):
        """`int8`: matrices are kept so, with a scale per output channel; what they are applied to is scaled by each run."""
        self.int8 = int8
        self.name, self.nodes, self.initializers, self.inputs, self.outputs = name, [], {}, [], []

    def input(self, name, kind, shape):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, value, name, kind, shape):
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, name, values):
        self.initializers.setdefault(name, np.ascontiguousarray(values))
        return name

    def ints(self, *values):
        """A constant of whole numbers, the same one for the same numbers."""
        return self.constant("i_" + "_".join(map(str, values)).replace("-", "m"), np.array(values, np.int64))

    def float(self, value):
        return self.constant(f"f_{value!r}".replace("-", "m"), np.array(value, np.float32))

    def op(self, kind, *inputs, **attributes):
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def linear(self, x, name, weight, bias=None):
        """`x @ weight.T + bias`; `weight` `[out, in]` as PyTorch keeps it."""
        if self.int8:
            y = self.matmul_int8(x, name, weight)
        else:
            y = self.op("MatMul", x, self.constant(name + ".weight", weight.T))
        return y if bias is None else self.op("Add", y, self.constant(name + ".bias", bias))

    def matmul_int8(self, x, name, weight):
        """`x @ weight.T` by whole numbers: the operators that ONNX Runtime makes one of."""
        values, scales = per_row(weight)
        parts = [f"{name}_{part}" for part in ("quantized", "scale", "zero")]
        self.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], parts, name=f"{name}_quantize"))
        whole = self.op("MatMulInteger", parts[0], self.constant(name + ".weight_int8", values.T), parts[2])
        scale = self.op("Mul", parts[1], self.constant(name + ".weight_scale", scales))
        return self.op("Mul", self.op("Cast", whole, to=TensorProto.FLOAT), scale)

    def dim(self, x, axis):
        """Length of a dimension, `[1]`."""
        return self.op("Slice", self.op("Shape", x), self.ints(axis), self.ints(axis + 1))

    def save(self, path):
        """Writes the graph; returns the names of the files with external data."""
        path, tensors, files = Path(path), [], []
        large = {k: v for k, v in self.initializers.items() if v.nbytes >= 1024}
        outside = sum(v.nbytes for v in large.values()) > INLINE_BYTES
        stream, offset = None, 0
        for name, values in self.initializers.items():
            if not outside or name not in large:
                tensors.append(numpy_helper.from_array(values, name))
                continue
            if stream is None or offset + values.nbytes > INLINE_BYTES > 0 and offset > 0:
                if stream is not None:
                    stream.close()
                files.append(f"{path.stem}.{len(files)}.data")
                stream, offset = open(path.parent / files[-1], "wb"), 0  # noqa: SIM115
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            tensor = TensorProto(name=name, data_type=kind, dims=values.shape, data_location=TensorProto.EXTERNAL)
            for key, value in (("location", files[-1]), ("offset", offset), ("length", values.nbytes)):
                tensor.external_data.add(key=key, value=str(value))
            values.tofile(stream)
            offset += values.nbytes
            tensors.append(tensor)
        if stream is not None:
            stream.close()
        model = helper.make_model(
            helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, tensors),
            opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="gst-listen-export")
        onnx.save(model, str(path))
        onnx.checker.check_model(str(path), full_check=not files)
        return files
