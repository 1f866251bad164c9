"""A decoder-only language model from a local Hugging Face folder, as the `captioner` part of a package.

`config` reads the model's numbers, `weights` its tensors, `decoder` and `projector` build the graphs, `template` the
text around the sound, `command` the package. No PyTorch and no `transformers` is needed.
"""
