"""The bare loop in Python, with the options of the Rust benchmark, which runs this as a child.

    python3 bare_loop.py GRAPH.onnx WORKERS

reads numbers of windows, a line each, runs so many over WORKERS threads with a session each, and answers with the
wall time and the process's CPU time in ns.
"""

import sys
import threading
import time

import numpy as np
import onnxruntime

graph, workers = sys.argv[1], int(sys.argv[2])
window = {"mel": np.sin(np.arange(80 * 608, dtype=np.float32)).reshape(1, 1, 80, 608)}


def session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


sessions = [session() for _ in range(workers)]


def loop(session, windows):
    for _ in range(windows):
        session.run(["tokens"], window)


for line in sys.stdin:
    each = int(line) // workers
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    threads = [threading.Thread(target=loop, args=(s, each)) for s in sessions]
    [t.start() for t in threads]
    [t.join() for t in threads]
    print(time.perf_counter_ns() - wall, time.process_time_ns() - cpu, flush=True)
