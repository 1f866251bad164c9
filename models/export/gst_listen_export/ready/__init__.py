"""A ready ONNX file as a package: `graph` reads what it takes and gives, `template` writes a manifest to be filled in,
`manifest` reads it, `check` compares the two by running the graph."""
