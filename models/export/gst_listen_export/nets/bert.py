"""BERT as a text tower (arXiv 1810.04805): post-norm layers, no pooler, segment 0 throughout."""

from torch import nn

MASKED = -1e9  # added to the products with padding


class Bert(nn.Module):
    """`input_ids`, `attention_mask` int64 `[B, N]` to `[B, D]`: the first token, or with `mean` the mean over tokens that are no padding.

    `weights` by the names of Hugging Face's BertModel.
    """

    def __init__(self, weights, heads, mean, eps=1e-12):
        super().__init__()
        self.heads, self.mean, self.eps = heads, mean, eps
        self.depth = sum(f"encoder.layer.{i}.output.dense.weight" in weights for i in range(1000))
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "/"), value)

    def of(self, name):
        return getattr(self, name.replace(".", "/"))

    def linear(self, name, x):
        return nn.functional.linear(x, self.of(f"{name}.weight"), self.of(f"{name}.bias"))

    def norm(self, name, x):
        weight = self.of(f"{name}.weight")
        return nn.functional.layer_norm(x, weight.shape, weight, self.of(f"{name}.bias"), self.eps)

    def split(self, x):
        return x.reshape(x.shape[0], -1, self.heads, x.shape[2] // self.heads).transpose(1, 2)

    def layer(self, name, x, mask):
        q, k, v = (self.split(self.linear(f"{name}.attention.self.{part}", x)) for part in ("query", "key", "value"))
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + mask).softmax(-1)
        y = (weights @ v).transpose(1, 2).reshape(x.shape[0], -1, x.shape[2])
        x = self.norm(f"{name}.attention.output.LayerNorm", x + self.linear(f"{name}.attention.output.dense", y))
        y = self.linear(f"{name}.output.dense", nn.functional.gelu(self.linear(f"{name}.intermediate.dense", x)))
        return self.norm(f"{name}.output.LayerNorm", x + y)

    def forward(self, input_ids, attention_mask):
        x = self.of("embeddings.word_embeddings.weight")[input_ids]
        x = x + self.of("embeddings.position_embeddings.weight")[: input_ids.shape[1]]
        x = self.norm("embeddings.LayerNorm", x + self.of("embeddings.token_type_embeddings.weight")[0])
        real = attention_mask.to(x.dtype)
        for i in range(self.depth):
            x = self.layer(f"encoder.layer.{i}", x, (1 - real[:, None, None, :]) * MASKED)
        if not self.mean:
            return x[:, 0]
        return (x * real[:, :, None]).sum(1) / real.sum(1, keepdim=True)
