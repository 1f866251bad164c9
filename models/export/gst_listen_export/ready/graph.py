"""What an ONNX file takes and gives, read without running it."""

from dataclasses import dataclass
from pathlib import Path

from gst_listen_export.errors import ExportError


@dataclass(frozen=True)
class Port:
    """An input or output: `shape` holds numbers, and names (or None) for dimensions that are free; None: any rank."""

    name: str
    kind: str
    shape: tuple | None

    def __str__(self):
        shape = "any shape" if self.shape is None else "[" + ", ".join(str(d) if d is not None else "?" for d in self.shape) + "]"
        return f"{self.name}: {self.kind} {shape}"


@dataclass(frozen=True)
class Ready:
    """A graph: `data` are the files with external data beside it that it refers to."""

    path: Path
    inputs: tuple
    outputs: tuple
    data: tuple
    opset: int

    def input(self, name, key):
        return self._port(self.inputs, name, key, "inputs")

    def output(self, name, key):
        return self._port(self.outputs, name, key, "outputs")

    def _port(self, ports, name, key, what):
        for port in ports:
            if port.name == name:
                return port
        raise ExportError(f"{key}: expected one of the {what} of {self.path.name} ({', '.join(p.name for p in ports) or 'none'}), found {name!r}")


def read_graph(path):
    """The graph in a file.

    # Errors
    Not a file, not ONNX, external data that is missing or lies outside its folder.
    """
    import onnx

    if not path.is_file():
        raise ExportError(f"{path}: expected an ONNX file; found {'a folder' if path.exists() else 'nothing'}")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own, of no common kind
        raise ExportError(f"{path}: expected an ONNX file: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None
    if not model.graph.node or not model.graph.output:
        raise ExportError(f"{path}: expected an ONNX file with operators and outputs; found {len(model.graph.node)} operators")
    weights = {i.name for i in model.graph.initializer}
    inputs = tuple(port(v) for v in model.graph.input if v.name not in weights)
    data = external(model, path)
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    return Ready(path, inputs, tuple(port(v) for v in model.graph.output), data, opset)


def port(value):
    from onnx import TensorProto

    tensor = value.type.tensor_type
    kind = TensorProto.DataType.Name(tensor.elem_type).lower() if value.type.HasField("tensor_type") else "no tensor"
    kind = {"float": "float32", "double": "float64"}.get(kind, kind)
    if not tensor.HasField("shape"):
        return Port(value.name, kind, None)
    return Port(value.name, kind, tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim))


def external(model, path):
    """Names of the files with external data, relative to the graph's folder."""
    names = set()
    for tensor in tensors(model.graph):
        if tensor.HasField("data_location") and tensor.data_location == tensor.EXTERNAL:
            names |= {e.value for e in tensor.external_data if e.key == "location"}
    for name in sorted(names):
        place = Path(name)
        if place.is_absolute() or ".." in place.parts:
            raise ExportError(f"{path}: expected external data beside the graph, found {name!r}")
        if not (path.parent / place).is_file():
            raise ExportError(f"{path}: expected its external data in {path.parent / place}, found nothing")
    return tuple(sorted(names))


def tensors(graph):
    """The weights of a graph and of the graphs in it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from tensors(attribute.g)
