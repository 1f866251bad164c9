"""Graphs in float16, but for what does not fit it: LayerNorms, sums of squares, and front ends."""

import warnings

from gst_listen_export.errors import ExportError

# In float32 where the rest is float16: eps of 1e-6 and sums of squares do not fit float16.
KEPT = ["LayerNormalization", "BatchNormalization", "ReduceMean", "ReduceSum", "Pow", "Sqrt", "Log", "Range", "Resize"]


def to_fp16(source, path, in_graph=False):
    """Weights and arithmetic in float16; inputs, outputs and LayerNorms stay float32, and the front end where it is `in_graph`.

    # Errors
    Nothing would be in float16: all of the graph is what is taken for its front end.
    """
    import onnx

    model = onnx.load(source)
    front = front_end(model.graph) if in_graph else set()
    half = joined(model, front) if front else converted(model)
    tensors = [*half.graph.initializer, *(a.t for n in half.graph.node if n.op_type == "Constant" for a in n.attribute)]
    if front and not any(t.data_type == onnx.TensorProto.FLOAT16 for t in tensors):
        raise ExportError(
            f"fp16: expected weights behind the graph's front end, which ends with its first logarithm and stays float32; found "
            f"none: {len(front)} of its {len(model.graph.node)} nodes are before it. Leave fp16 out"
        )
    onnx.save(half, path)
    onnx.checker.check_model(str(path))


def converted(model):
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it names weights that are rounded to zero
        model = convert_float_to_float16(model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *KEPT])
    OnnxModel(model).topological_sort()  # the converter puts its casts at the end
    return model


def inputs(node):
    """The names that a node reads, those in graphs of its own among them."""
    found = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            found |= {name for inner in graph.node for name in inputs(inner)}
    return found


def front_end(graph):
    """Places of the nodes up to the first logarithm on every way: powers of sound reach far beyond what float16 holds."""
    made_by = {name: i for i, node in enumerate(graph.node) for name in node.output}

    def before(i):
        found, ask = set(), [i]
        while ask:
            for name in inputs(graph.node[ask.pop()]):
                at = made_by.get(name)
                if at is not None and at not in found:
                    found.add(at)
                    ask.append(at)
        return found

    logs = {i: before(i) for i, node in enumerate(graph.node) if node.op_type == "Log"}
    first = {i: of for i, of in logs.items() if not of & logs.keys()}
    return set().union(*first.values(), first.keys())


def joined(model, front):
    """The graph with what is `behind` its front end in float16.

    That part is converted as a graph by itself, which takes what the front end makes: so no value between two of the front
    end's nodes goes through float16 on its way.
    """
    import onnx
    from onnx import helper

    graph = model.graph
    known = {
        v.name: v for v in [*onnx.shape_inference.infer_shapes(model).graph.value_info, *graph.input, *graph.output]
    }
    first, behind = ([node for i, node in enumerate(graph.node) if (i in front) == early] for early in (True, False))
    used = {name for node in behind for name in inputs(node)}
    made, wanted = (
        [name for node in first for name in node.output if name],
        {name for node in behind for name in node.output},
    )
    unknown = lambda name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    between = [known.get(name) or unknown(name) for name in made if name in used]
    rest = helper.make_graph(
        behind,
        graph.name,
        [*(v for v in graph.input if v.name in used), *between],
        [v for v in graph.output if v.name in wanted],
        [w for w in graph.initializer if w.name in used],
    )
    half = converted(helper.make_model(rest, opset_imports=model.opset_import, ir_version=model.ir_version))
    # Weights of both parts have two forms from here on.
    own = {
        name: f"front_end/{name}"
        for node in first
        for name in node.input
        if name in {w.name for w in graph.initializer}
    }
    for node in first:
        for i, name in enumerate(node.input):
            node.input[i] = own.get(name, name)
    weights = [onnx.TensorProto.FromString(w.SerializeToString()) for w in graph.initializer if w.name in own]
    for weight in weights:
        weight.name = own[weight.name]
    whole = helper.make_graph(
        [*first, *half.graph.node], graph.name, graph.input, graph.output, [*weights, *half.graph.initializer]
    )
    out = helper.make_model(whole, opset_imports=model.opset_import, ir_version=model.ir_version)
    out.functions.extend(model.functions)
    return out
