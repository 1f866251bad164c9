"""The graphs of a decoder: token embeddings, and the layers with a key-value cache.

The layout is that which Hugging Face optimum exports for decoder-only models (fixed names):

| | name | shape |
|---|---|---|
| in | `inputs_embeds` | float32 `[B, S, hidden]` |
| in | `attention_mask` | int64 `[B, P + S]`: 1 for a position that is there |
| in | `position_ids` | int64 `[B, S]` |
| in | `past_key_values.{i}.key`, `.value` | float32 `[B, kv_heads, P, head_dim]`; P is 0 at first |
| out | `logits` | float32 `[B, S, vocab]` |
| out | `present.{i}.key`, `.value` | float32 `[B, kv_heads, P + S, head_dim]` |

Keys are kept with their rotation, so a step computes nothing of the past anew.
"""

import numpy as np
from onnx import TensorProto

from .graph import Graph, per_row

F32, I64 = TensorProto.FLOAT, TensorProto.INT64
LOWEST = float(np.finfo(np.float32).min)


def embed_graph(config, weights, int8=False):
    """`input_ids` int64 `[B, S]` to `inputs_embeds` `[B, S, hidden]`."""
    g = Graph("embed_tokens")
    ids = g.input("input_ids", I64, ["batch", "sequence"])
    table = weights.take("model.embed_tokens.weight", (config.vocab, config.hidden))
    if int8:
        values, scales = per_row(table)
        rows = g.op("Cast", g.op("Gather", g.constant("embed_tokens.weight_int8", values), ids, axis=0), to=F32)
        y = g.op("Mul", rows, g.op("Gather", g.constant("embed_tokens.weight_scale", scales[:, None]), ids, axis=0))
    else:
        y = g.op("Gather", g.constant("embed_tokens.weight", table), ids, axis=0)
    g.output(y, "inputs_embeds", F32, ["batch", "sequence", config.hidden])
    return g


class _Decoder:
    """One decoder being built."""

    def __init__(self, config, weights, int8):
        self.c, self.w, self.g = config, weights, Graph("decoder", int8)

    def build(self):
        c, g = self.c, self.g
        x = g.input("inputs_embeds", F32, ["batch", "sequence", c.hidden])
        self.mask = g.input("attention_mask", I64, ["batch", "total"])
        self.positions = g.input("position_ids", I64, ["batch", "sequence"])
        past = [
            tuple(g.input(f"past_key_values.{i}.{part}", F32, ["batch", c.kv_heads, "past", c.head_dim]) for part in ("key", "value"))
            for i in range(c.layers)]
        self.batch, self.length = g.dim(x, 0), g.dim(x, 1)
        self.angles()
        self.allowed(past[0][0])
        present = []
        for i in range(c.layers):
            x, key_value = self.layer(f"model.layers.{i}", x, *past[i])
            present.append(key_value)
        x = self.norm(x, "model.norm.weight", c.hidden)
        head = "model.embed_tokens.weight" if c.tied else "lm_head.weight"
        if c.tied and "lm_head.weight" in self.w:
            self.w.taken.add("lm_head.weight")  # the same tensor, written twice by some savers
        logits = g.linear(x, "lm_head", self.w.take(head, (c.vocab, c.hidden)))
        g.output(logits, "logits", F32, ["batch", "sequence", c.vocab])
        for i, pair in enumerate(present):
            for part, value in zip(("key", "value"), pair, strict=True):
                g.output(value, f"present.{i}.{part}", F32, ["batch", c.kv_heads, "total", c.head_dim])
        return g

    def angles(self):
        """Cosine and sine of each position's rotation, `[B, 1, S, head_dim]`."""
        g, half = self.g, self.c.head_dim // 2
        inv = g.constant("inv_freq", self.c.inv_freq.astype(np.float32).reshape(1, 1, half))
        position = g.op("Unsqueeze", g.op("Cast", self.positions, to=F32), g.ints(2))
        angle = g.op("Mul", position, inv)
        angle = g.op("Unsqueeze", g.op("Concat", angle, angle, axis=-1), g.ints(1))
        self.cos, self.sin = g.op("Cos", angle), g.op("Sin", angle)
        if self.c.rotary_scale != 1:
            self.cos, self.sin = (g.op("Mul", v, g.float(self.c.rotary_scale)) for v in (self.cos, self.sin))

    def allowed(self, past):
        """What is added to the products of queries and keys: 0 where a key is there and not later, else the lowest number."""
        g = self.g
        zero, one = g.constant("zero", np.array(0, np.int64)), g.constant("one", np.array(1, np.int64))
        before = g.op("Squeeze", g.dim(past, 2), g.ints(0))
        rows = g.op("Add", g.op("Range", zero, g.op("Squeeze", self.length, g.ints(0)), one), before)
        columns = g.op("Range", zero, g.op("Squeeze", g.dim(self.mask, 1), g.ints(0)), one)
        later = g.op("Greater", g.op("Unsqueeze", columns, g.ints(0)), g.op("Unsqueeze", rows, g.ints(1)))
        absent = g.op("Unsqueeze", g.op("Equal", self.mask, zero), g.ints(1, 2))
        self.bias = g.op("Where", g.op("Or", later, absent), g.float(LOWEST), g.float(0.0))

    def norm(self, x, name, size):
        """RMSNorm over the last dimension."""
        g = self.g
        mean = g.op("ReduceMean", g.op("Mul", x, x), axes=[-1], keepdims=1)
        root = g.op("Sqrt", g.op("Add", mean, g.float(self.c.eps)))
        return g.op("Mul", g.op("Div", x, root), g.constant(name, self.w.take(name, (size,))))

    def project(self, x, name, rows, columns):
        """A linear map with a bias where the folder has one."""
        bias = self.w.take(name + ".bias", (rows,)) if name + ".bias" in self.w else None
        return self.g.linear(x, name, self.w.take(name + ".weight", (rows, columns)), bias)

    def rotate(self, x):
        """The rotary embedding: halves of a head are the parts of complex numbers."""
        g, half = self.g, self.c.head_dim // 2
        left = g.op("Slice", x, g.ints(0), g.ints(half), g.ints(3))
        right = g.op("Slice", x, g.ints(half), g.ints(2 * half), g.ints(3))
        turned = g.op("Concat", g.op("Neg", right), left, axis=3)
        return g.op("Add", g.op("Mul", x, self.cos), g.op("Mul", turned, self.sin))

    def heads(self, x, name, count):
        """`[B, S, hidden]` to `[B, count, S, head_dim]`, normalised per head where the model does that."""
        c, g = self.c, self.g
        y = self.project(x, name, count * c.head_dim, c.hidden)
        y = g.op("Reshape", y, g.ints(0, 0, count, c.head_dim))
        per_head = name.removesuffix("_proj") + "_norm.weight"
        if per_head in self.w:
            y = self.norm(y, per_head, c.head_dim)
        return g.op("Transpose", y, perm=[0, 2, 1, 3])

    def attention(self, name, x, past_key, past_value):
        c, g = self.c, self.g
        group = c.heads // c.kv_heads
        query = self.rotate(self.heads(x, f"{name}.q_proj", c.heads))
        key = g.op("Concat", past_key, self.rotate(self.heads(x, f"{name}.k_proj", c.kv_heads)), axis=2)
        value = g.op("Concat", past_value, self.heads(x, f"{name}.v_proj", c.kv_heads), axis=2)
        # Queries that share a key head stand one after the other: nothing of the cache is copied for them.
        query = g.op("Reshape", query, g.ints(0, c.kv_heads, -1, c.head_dim))
        products = g.op("MatMul", query, g.op("Transpose", key, perm=[0, 1, 3, 2]))
        products = g.op("Mul", products, g.float(c.head_dim**-0.5))
        total = g.dim(self.mask, 1)
        wide = g.op("Concat", self.batch, g.ints(c.heads), self.length, total, axis=0)
        weights = g.op("Softmax", g.op("Add", g.op("Reshape", products, wide), self.bias), axis=-1)
        grouped = g.op("Concat", self.batch, g.ints(c.kv_heads), g.op("Mul", self.length, g.ints(group)), total, axis=0)
        mixed = g.op("MatMul", g.op("Reshape", weights, grouped), value)
        split = g.op("Concat", self.batch, g.ints(c.heads), self.length, g.ints(c.head_dim), axis=0)
        mixed = g.op("Transpose", g.op("Reshape", mixed, split), perm=[0, 2, 1, 3])
        mixed = g.op("Reshape", mixed, g.ints(0, 0, c.heads * c.head_dim))
        return self.project(mixed, f"{name}.o_proj", c.hidden, c.heads * c.head_dim), (key, value)

    def layer(self, name, x, past_key, past_value):
        c, g = self.c, self.g
        y = self.norm(x, f"{name}.input_layernorm.weight", c.hidden)
        y, key_value = self.attention(f"{name}.self_attn", y, past_key, past_value)
        x = g.op("Add", x, y)
        y = self.norm(x, f"{name}.post_attention_layernorm.weight", c.hidden)
        gate = self.project(y, f"{name}.mlp.gate_proj", c.intermediate, c.hidden)
        gate = g.op("Mul", gate, g.op("Sigmoid", gate))
        y = g.op("Mul", gate, self.project(y, f"{name}.mlp.up_proj", c.intermediate, c.hidden))
        return g.op("Add", x, self.project(y, f"{name}.mlp.down_proj", c.hidden, c.intermediate)), key_value


def decoder_graph(config, weights, int8=False):
    """The decoder's graph; see the module."""
    return _Decoder(config, weights, int8).build()
