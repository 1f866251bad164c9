//! ONNX Runtime sessions and the engine that shares them.
