"""A stream in parts, each carrying over from the last, against the encoder run on the whole."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from listen_training import carry, export, model


@dataclass
class Small:
    """What `reach_of` asks of a configuration."""

    temporal: int = 2
    reach: int = 3
    memory: int = 5


def encoder(config):
    """A small one with every weight and statistic at random, so that nothing is neutral by chance."""
    torch.manual_seed(3)
    made = model.Encoder(8, (4, 6, 8, 10, 12), 16, config.temporal, config.reach, config.memory)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
            if isinstance(module, model.Context):
                module.key.weight.normal_(0, 0.5)
    return made.eval()


@pytest.mark.parametrize("config", [Small(), Small(memory=0), Small(temporal=1, reach=6, memory=24)])
def test_parts_are_the_whole(config, tmp_path):
    plain = encoder(config)
    with torch.no_grad():
        expected = plain(x := torch.randn(1, 1, 80, 400)).numpy()
    before, after = model.reach_of(config)
    delay = after // model.COLUMN
    states = export.write_encoder(export.fold(plain), 200, tmp_path / "encoder.onnx")
    run = export.session(tmp_path / "encoder.onnx")
    assert [port.name for port in run.get_inputs()] == ["mel"], "all else has a default"
    named = [port.name for port in run.get_overridable_initializers()]
    assert sorted(named) == sorted([carry.TAIL, *(state for state, _ in states)])
    first = model.COLUMN * (delay + 1)
    for parts in ([400], [first, 400 - first], [first, *[8] * ((400 - first) // 8)], [first, 96, 8, 400 - first - 104]):
        found = export.in_parts(run, states, x.numpy(), parts)
        assert np.abs(found - expected).max() < 1e-5, parts
    # A part gives what has its context and nothing else: as many columns later as the reach says.
    none = np.zeros((1, 1, 1, 0), np.float32)
    tokens = run.run(["tokens"], {"mel": x.numpy()[..., :first], carry.TAIL: none})[0]
    assert tokens.shape[1] == 1
    with torch.no_grad():
        other = x.clone()
        other[..., before + first :] += 1.0
        cut = plain(other).numpy()
    assert np.abs((cut - expected)[:, : before // model.COLUMN + 1]).max() < 1e-5, "the reach is no further"
