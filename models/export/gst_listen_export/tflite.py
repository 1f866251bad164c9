"""TensorFlow Lite files (int8) as ONNX graphs of quantise/dequantise pairs, without TensorFlow.

The schema's numbers are those of `tensorflow/compiler/mlir/lite/schema/schema.fbs` (Apache-2.0, version 3). What is rebuilt:
networks of the MobileNet kind, `[1, T, F]` float32 in, scores out, channels last there and first here.

Arithmetic: `real = scale (q - zero)`. A convolution is a sum of int32 (with an int32 bias of scale s_in s_w), times
`s_in s_w / s_out`, rounded to even: what LiteRT's XNNPACK and ONNX Runtime's QLinearConv both compute, so that the numbers are
equal to the bit. Where LiteRT multiplies by a reciprocal (its first quantisation), so does the graph.
"""

from dataclasses import dataclass

import numpy as np

from gst_listen_export import flatbuffer
from gst_listen_export.errors import ExportError

DTYPES = {0: "float32", 2: "int32", 9: "int8"}
OPS = {3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 22: "RESHAPE", 40: "MEAN",
       49: "SPLIT", 114: "QUANTIZE"}
SAME, NO_ACTIVATION, RELU6 = 0, 0, 3
LOW, HIGH = -128, 127  # of int8


@dataclass
class Tensor:
    """A tensor of the file: `data` where it is a constant; `scale` and `zero` (one, or one per channel) where it is quantised."""

    name: str
    shape: tuple
    dtype: str
    data: np.ndarray | None
    scale: np.ndarray
    zero: np.ndarray


@dataclass
class Operator:
    kind: str
    inputs: list
    outputs: list
    options: flatbuffer.Table | None


class File:
    """A TensorFlow Lite file of one graph.

    # Errors
    Not a FlatBuffer of this schema, cut short, several graphs, tensors whose bytes do not fill their shape, numbers that point nowhere.
    """

    def __init__(self, path):
        self.path = path
        try:
            self._read(path.read_bytes())
        except flatbuffer.FlatError as error:
            raise ExportError(f"{path}: expected a TensorFlow Lite file: {error}") from None

    def _read(self, data):
        model = flatbuffer.root(data, b"TFL3")
        graphs = model.tables(2)
        if len(graphs) != 1:
            raise flatbuffer.FlatError(f"expected one graph, found {len(graphs)}")
        graph, buffers = graphs[0], model.tables(4)
        # Numbers below 127 stand in the schema's old field, all in the new one; files of old converters lack the new one.
        codes = [max(code.scalar(3, "i"), code.scalar(0, "b")) for code in model.tables(1)]
        self.tensors = [self._tensor(t, buffers) for t in graph.tables(0)]
        self.inputs, self.outputs = self._numbers(graph.array(1, "i4")), self._numbers(graph.array(2, "i4"))
        self.operators = []
        for op in graph.tables(3):
            code = at(codes, op.scalar(0, "I"), "operator codes")
            self.operators.append(Operator(OPS.get(code, f"number {code}"), self._numbers(op.array(1, "i4")),
                                           self._numbers(op.array(2, "i4")), op.table(4)))

    def _numbers(self, numbers):
        for n in numbers:
            at(self.tensors, n, "tensors")
        return [int(n) for n in numbers]

    def _tensor(self, table, buffers):
        name, shape = table.text(3), tuple(int(d) for d in table.array(0, "i4"))
        kind = table.scalar(1, "b")
        dtype = DTYPES.get(kind, f"type number {kind}")
        raw = at(buffers, table.scalar(2, "I"), "buffers").array(0, "u1")
        data = None
        if len(raw):
            if kind not in DTYPES:
                raise flatbuffer.FlatError(f"tensor {name}: expected {', '.join(DTYPES.values())}; found {dtype}")
            size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            if len(raw) != size or min(shape, default=1) < 0:
                raise flatbuffer.FlatError(f"tensor {name}: expected {size} bytes for {dtype} {list(shape)}; found {len(raw)}")
            data = raw.view(np.dtype(dtype).newbyteorder("<")).reshape(shape)
        quantised = table.table(4)
        scale, zero = (quantised.array(2, "f4"), quantised.array(3, "i8")) if quantised else (np.zeros(0), np.zeros(0))
        if len(scale) != len(zero) or not np.isfinite(scale).all() or (len(scale) and scale.min() <= 0):
            raise flatbuffer.FlatError(f"tensor {name}: expected as many scales above 0 as zero points; found {scale} and {zero}")
        if dtype == "int8" and len(zero) and not LOW <= zero.min() <= zero.max() <= HIGH:
            raise flatbuffer.FlatError(f"tensor {name}: expected zero points from {LOW} to {HIGH}; found {zero}")
        return Tensor(name, shape, dtype, data, scale, zero)


def at(things, number, what):
    if not 0 <= number < len(things):
        raise flatbuffer.FlatError(f"expected a number below {len(things)} among the {what}; found {number}")
    return things[number]


class Rebuilt:
    """The ONNX graph of a file: input `lms` `[B, 1, T, F]`, outputs `embedding` `[B, D]` and `scores` `[B, classes]`.

    # Errors
    An operator, a shape or an option that this does not know: with the operator's number and what it should be.
    """

    def __init__(self, file):
        self.file, self.nodes, self.constants, self.names = file, [], [], {}
        self.outputs = {}
        if len(file.inputs) != 1 or len(file.outputs) != 1:
            raise ExportError(f"{file.path}: expected one input and one output; found {len(file.inputs)} and {len(file.outputs)}")
        source = file.tensors[file.inputs[0]]
        if len(source.shape) != 3 or source.dtype != "float32":
            raise ExportError(f"{file.path}: expected an input of log-mel frames, float32 [1, frames, bands]; "
                              f"found {source.dtype} {list(source.shape)} ({source.name})")
        self.frames, self.bands = source.shape[1:]
        self.names[file.inputs[0]] = "lms"
        for number, op in enumerate(file.operators):
            build = getattr(self, op.kind.lower(), None) if op.kind in OPS.values() else None
            if build is None:
                raise ExportError(f"{file.path}: operator {number} is {op.kind}; only {', '.join(OPS.values())} are known")
            self.where = f"{file.path}: operator {number} ({op.kind})"
            try:
                build(op)
            except flatbuffer.FlatError as error:  # its options are read here
                raise ExportError(f"{self.where}: {error}") from None
        if file.outputs[0] not in self.names:
            raise ExportError(f"{file.path}: expected an operator that gives the graph's output; none does")

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def constant(self, value, dtype):
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def node(self, op, *inputs, name=None, **attributes):
        from onnx import helper

        name = name or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def expect(self, holds, expected, found):
        if not holds:
            raise ExportError(f"{self.where}: expected {expected}; found {found}")

    def tensor(self, op, which):
        self.expect(len(op.inputs) > which, f"at least {which + 1} inputs", len(op.inputs))
        return self.file.tensors[op.inputs[which]]

    def value(self, op, which=0):
        number = op.inputs[which] if len(op.inputs) > which else None
        self.expect(number in self.names, "an input that an operator before it gives", self.tensor(op, which).name)
        return self.names[number]

    def given(self, op):
        self.expect(len(op.outputs) == 1, "one output", len(op.outputs))
        return self.file.tensors[op.outputs[0]]

    def option(self, op, field, form="b", default=0):
        return op.options.scalar(field, form, default) if op.options else default

    def activation_scale(self, tensor):
        """The one scale and zero point of what flows."""
        self.expect(tensor.dtype == "int8" and len(tensor.scale) == 1, f"{tensor.name} in int8 with one scale",
                    f"{tensor.dtype} with {len(tensor.scale)}")
        return tensor.scale[0], int(tensor.zero[0])

    def quantised(self, op, value, name=None):
        """`value` through the output's int8; takes its place."""
        scale, zero = self.activation_scale(self.given(op))
        scale, zero = self.constant(scale, "f4"), self.constant(zero, "i1")
        q = self.node("QuantizeLinear", value, scale, zero)
        self.names[op.outputs[0]] = self.node("DequantizeLinear", q, scale, zero, name=name)

    def weight(self, op, dims, order=None):
        """A constant int8 tensor of `dims` dimensions, its axes in `order`; with a scale per output channel, or one."""
        w = self.tensor(op, 1)
        self.expect(w.data is not None and w.dtype == "int8" and w.data.ndim == dims and len(w.scale) and not w.zero.any(),
                    f"constant int8 weights of {dims} dimensions with zero points of 0", f"{w.name}: {w.dtype} {list(w.shape)}")
        data = w.data.transpose(order) if order else w.data
        self.expect(len(w.scale) in (1, data.shape[0]), f"1 or {data.shape[0]} scales", len(w.scale))
        return self.node("DequantizeLinear", self.constant(data, "i1"), *self.scales(w), **self.axis(w)), data.shape

    def bias(self, op, channels):
        b, w = self.tensor(op, 2), self.tensor(op, 1)
        self.expect(b.data is not None and b.dtype == "int32" and b.shape == (channels,), f"a constant int32 bias [{channels}]",
                    f"{b.name}: {b.dtype} {list(b.shape)}")
        product = self.activation_scale(self.tensor(op, 0))[0] * w.scale
        self.expect(len(b.scale) == len(product) and np.allclose(b.scale, product, rtol=1e-5, atol=0) and not b.zero.any(),
                    "a bias at the scale of input times weights", f"{b.scale[:3]} instead of {product[:3]}")
        return self.node("DequantizeLinear", self.constant(b.data, "i4"), self.scales(b)[0], **self.axis(b))

    def scales(self, tensor):
        one = len(tensor.scale) == 1
        return (self.constant(tensor.scale[0] if one else tensor.scale, "f4"), self.constant(tensor.zero[0] if one else tensor.zero, "i1"))

    @staticmethod
    def axis(tensor):
        return {} if len(tensor.scale) == 1 else {"axis": 0}

    # -- operators -----------------------------------------------------------------------------------------------------

    def quantize(self, op):
        scale, zero = self.activation_scale(self.given(op))
        # LiteRT multiplies by the reciprocal: dividing by the scale would put a few values on the other side of a half.
        scaled = self.node("Mul", self.value(op), self.constant(np.float32(1) / np.float32(scale), "f4"))
        q = self.node("QuantizeLinear", scaled, self.constant(1.0, "f4"), self.constant(zero, "i1"))
        self.names[op.outputs[0]] = self.node("DequantizeLinear", q, self.constant(scale, "f4"), self.constant(zero, "i1"))

    def reshape(self, op):
        """`[1, T, F]` becomes `[1, T, F, 1]`: with channels first that is what comes in."""
        found = self.given(op).shape
        self.expect(self.tensor(op, 0).shape == (1, self.frames, self.bands) and found == (1, self.frames, self.bands, 1),
                    f"[1, {self.frames}, {self.bands}] made [1, {self.frames}, {self.bands}, 1]", f"{list(self.tensor(op, 0).shape)} made {list(found)}")
        self.names[op.outputs[0]] = self.value(op)

    def split(self, op):
        self.expect(self.option(op, 0, "i") == 1, "a split into one", f"into {self.option(op, 0, 'i')}")
        self.given(op)
        self.names[op.outputs[0]] = self.value(op, 1)

    def conv_2d(self, op):
        w, (channels, inner, *kernel) = self.weight(op, 4, (0, 3, 1, 2))
        self.convolution(op, w, channels, kernel, 1, self.option(op, 3), (self.option(op, 4, "i", 1), self.option(op, 5, "i", 1)))
        self.expect(inner == self.tensor(op, 0).shape[3], f"{self.tensor(op, 0).shape[3]} input channels", inner)

    def depthwise_conv_2d(self, op):
        w, (channels, _, *kernel) = self.weight(op, 4, (3, 0, 1, 2))
        self.expect(channels == self.tensor(op, 0).shape[-1], "one filter a channel", f"{channels} for {self.tensor(op, 0).shape[-1]}")
        self.convolution(op, w, channels, kernel, channels, self.option(op, 4), (self.option(op, 5, "i", 1), self.option(op, 6, "i", 1)))

    def convolution(self, op, weight, channels, kernel, group, activation, dilation):
        x, y = self.tensor(op, 0).shape, self.given(op).shape
        strides = [self.option(op, 2, "i"), self.option(op, 1, "i")]
        self.expect(self.option(op, 0) == SAME and dilation == (1, 1) and min(strides) > 0 and len(x) == 4,
                    "padding SAME, no dilation, strides above 0", f"padding {self.option(op, 0)}, dilation {dilation}, strides {strides}")
        size = [-(-x[i + 1] // strides[i]) for i in (0, 1)]
        self.expect(y == (1, *size, channels), f"an output of {[1, *size, channels]}", list(y))
        pads = [max((size[i] - 1) * strides[i] + kernel[i] - x[i + 1], 0) for i in (0, 1)]
        before = [p // 2 for p in pads]
        value = self.node("Conv", self.value(op), weight, self.bias(op, channels), kernel_shape=list(kernel), strides=strides,
                          pads=[*before, *(p - b for p, b in zip(pads, before, strict=True))], group=group)
        self.quantised(op, self.activated(op, value, activation))

    def activated(self, op, value, activation):
        self.expect(activation in (NO_ACTIVATION, RELU6), "no activation or RELU6", f"activation number {activation}")
        scale, zero = self.activation_scale(self.given(op))
        # Where int8 holds just 0 to 6 (or less) its own saturation does it; a Clip between would keep the pair from being fused.
        saturates = zero == LOW and scale * (HIGH - zero) <= 6.0 + scale / 4
        if activation == NO_ACTIVATION or saturates:
            return value
        return self.node("Clip", value, self.constant(0.0, "f4"), self.constant(6.0, "f4"))

    def mean(self, op):
        axes = self.tensor(op, 1).data
        x = self.tensor(op, 0).shape
        self.expect(axes is not None and len(x) == 4 and sorted(axes.reshape(-1).tolist()) == [1, 2], "a mean over time and frequency", axes)
        pooled = self.node("GlobalAveragePool", self.value(op))
        self.quantised(op, self.node("Flatten", pooled), name="embedding")
        self.outputs["embedding"] = x[3]

    def fully_connected(self, op):
        w, (classes, inner) = self.weight(op, 2)
        found = int(np.prod(self.tensor(op, 0).shape))
        self.expect(inner == found, f"weights for {found} values", inner)
        self.quantised(op, self.activated(op, self.node("Gemm", self.value(op), w, self.bias(op, classes), transB=1), self.option(op, 0)))

    def logistic(self, op):
        self.quantised(op, self.node("Sigmoid", self.value(op)), name="scores")
        self.outputs["scores"] = self.given(op).shape[-1]

    def dequantize(self, op):
        self.names[op.outputs[0]] = self.value(op)

    def save(self, path):
        """Writes the graph.

        # Errors
        The network does not end in scores.
        """
        from onnx import TensorProto, checker, helper

        if self.names[self.file.outputs[0]] != "scores":
            raise ExportError(f"{self.file.path}: expected a network that ends in a LOGISTIC of its scores; found {sorted(self.outputs)}")
        given = [helper.make_tensor_value_info("lms", TensorProto.FLOAT, ["B", 1, self.frames, self.bands])]
        made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["B", d]) for n, d in sorted(self.outputs.items(), reverse=True)]
        graph = helper.make_graph(self.nodes, "tflite", given, made, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="gst-listen-export")
        model.ir_version = 8
        checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString(deterministic=True))
