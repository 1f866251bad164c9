"""Log-mel in float64: a discrete Fourier transform written out as two matrices, the Slaney filterbank, a logarithm."""
import numpy as np


class FrontEnd:
    """The Slaney front end of M2D, BYOL-A and LAION-CLAP: `window` = transform, frames centred, edges reflected, power.

    `log`: `eps` for ln(S + eps), or `amin` for 10 log10(max(S, amin)).
    """

    def __init__(self, rate, window, hop, bands, low, high, eps=2.0**-23, amin=None):
        self.rate, self.window, self.hop, self.bands, self.eps, self.amin = rate, window, hop, bands, eps, amin
        self.filters = np.array([self._triangle(i, low, high) for i in range(bands)])
        n, k = np.arange(window), np.arange(window // 2 + 1)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
        angle = 2 * np.pi * (np.outer(n, k) % window) / window
        self.cos, self.sin = hann[:, None] * np.cos(angle), hann[:, None] * np.sin(angle)

    @staticmethod
    def hz_to_mel(f):
        return 3 * f / 200 if f < 1000 else 15 + 27 * np.log(f / 1000) / np.log(6.4)

    @staticmethod
    def mel_to_hz(m):
        return 200 * m / 3 if m < 15 else 1000 * np.exp((m - 15) * np.log(6.4) / 27)

    def _triangle(self, i, low, high):
        first, last = self.hz_to_mel(low), self.hz_to_mel(high)
        left, top, right = (self.mel_to_hz(first + (last - first) * (i + j) / (self.bands + 1)) for j in range(3))
        row = np.zeros(self.window // 2 + 1)
        for k in range(len(row)):
            f = k * self.rate / self.window
            if left < f <= top:
                row[k] = (f - left) / (top - left)
            elif top < f < right:
                row[k] = (right - f) / (right - top)
        return row * 2 / (right - left)

    def __call__(self, samples):
        """`[1 + floor(N / hop), bands]` of a recording."""
        x, half = np.asarray(samples, np.float64), self.window // 2
        padded = np.concatenate([x[half:0:-1], x, x[-2 : -half - 2 : -1]])
        frames = np.array([padded[t * self.hop : t * self.hop + self.window] for t in range(1 + len(x) // self.hop)])
        power = (frames @ self.cos) ** 2 + (frames @ self.sin) ** 2
        bands = power @ self.filters.T
        return np.log(bands + self.eps) if self.amin is None else 10 * np.log10(np.maximum(bands, self.amin))

    def samples(self, frames):
        """The fewest samples that make so many frames."""
        return (frames - 1) * self.hop


M2D = FrontEnd(16000, 400, 160, 80, 50, 8000)
M2D_32K = FrontEnd(32000, 800, 320, 80, 50, 16000)
BYOL_A = FrontEnd(16000, 1024, 160, 64, 60, 7800)
