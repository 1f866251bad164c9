"""A large matrix product, by a library: `python products.py "torch fp32"|"torch bf16"|"numpy fp32"|"ort fp32"|"ort int8" THREADS`.

For each number on stdin, so many products; prints 10^9 operations a second of the quickest.
"""
import sys
import time

import numpy as np

kind, threads, n = sys.argv[1], int(sys.argv[2]), 1536
if kind in ("torch fp32", "torch bf16"):
    import torch
    torch.set_num_threads(threads)
    a = torch.randn(n, n).to(torch.bfloat16 if "bf16" in kind else torch.float32)
    work = lambda: a @ a
elif kind == "numpy fp32":
    a = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
    work = lambda: a @ a
else:
    import onnx
    import onnxruntime
    from onnx import TensorProto as T
    from onnx import helper
    int8 = "int8" in kind
    ends = [("a", T.UINT8 if int8 else T.FLOAT), ("b", T.INT8 if int8 else T.FLOAT)]
    made = helper.make_tensor_value_info("c", T.INT32 if int8 else T.FLOAT, [n, n])
    node = helper.make_node("MatMulInteger" if int8 else "MatMul", ["a", "b"], ["c"])
    rng = np.random.default_rng(0)
    values = [rng.integers(0, 127, (n, n)).astype(np.uint8), rng.integers(-127, 127, (n, n)).astype(np.int8)] if int8 else [
        rng.standard_normal((n, n)).astype(np.float32) for _ in range(2)]
    weights = [onnx.numpy_helper.from_array(values[1], "b")]
    graph = helper.make_graph([node], "peak", [helper.make_tensor_value_info("a", ends[0][1], [n, n])], [made], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    work = lambda: session.run(None, {"a": values[0]})
work()
print("ready", flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    print(2 * n**3 / min(times) / 1e9, flush=True)
