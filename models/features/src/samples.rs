//! The newest part of a stream of samples, in float64.

/// Samples taken in one piece: 16 KiB of float64.
const BLOCK: usize = 2_048;

/// The newest samples of a stream, in memory of fixed size.
///
/// Samples that are not finite are taken as 0 and counted; float32's denormals are ordinary numbers in float64.
pub(crate) struct Samples {
    values: Box<[f64]>,
    filled: usize,
    /// The stream's index of `values[0]`.
    first: i64,
    /// How many samples are kept at least, where there have been so many.
    keep: usize,
    bad: u64,
}

impl Samples {
    /// Keeps at least `keep` samples; room for another `keep` is always there for padding.
    pub(crate) fn new(keep: usize) -> Self {
        let keep = keep.max(1);
        Self { values: vec![0.0; 2 * keep + BLOCK].into(), filled: 0, first: 0, keep, bad: 0 }
    }

    /// Forgets everything and begins with `before` zeros, so that the next sample has the index 0.
    pub(crate) fn restart(&mut self, before: usize) {
        self.filled = before;
        self.first = -(before as i64);
        self.values[..before].fill(0.0);
    }

    /// Index of the next sample.
    pub(crate) fn end(&self) -> i64 {
        self.first + self.filled as i64
    }

    /// Samples so far that were not finite.
    pub(crate) fn bad(&self) -> u64 {
        self.bad
    }

    /// Most samples that [`take`](Self::take) takes at once.
    pub(crate) fn most(&self) -> usize {
        self.values.len() - self.keep
    }

    /// Takes what fits from the front of `samples` and gives the rest back. It always takes one, and `keep` samples
    /// before those that it takes remain.
    pub(crate) fn take<'a>(&mut self, samples: &'a [f32]) -> &'a [f32] {
        self.make_room();
        let room = self.values.len() - self.keep - self.filled;
        let (taken, rest) = samples.split_at(samples.len().min(room));
        let mut bad = 0_u64;
        for (value, &sample) in self.values[self.filled..].iter_mut().zip(taken) {
            let good = sample.is_finite();
            bad += u64::from(!good);
            *value = if good { f64::from(sample) } else { 0.0 };
        }
        self.filled += taken.len();
        self.bad += bad;
        rest
    }

    /// Once the block is full only the newest `keep` samples stay.
    fn make_room(&mut self) {
        if self.filled + self.keep >= self.values.len() {
            let dropped = self.filled - self.keep;
            self.values.copy_within(dropped..self.filled, 0);
            self.filled = self.keep;
            self.first += dropped as i64;
        }
    }

    /// The `len` samples from `index` on; they must still be there.
    pub(crate) fn get(&self, index: i64, len: usize) -> &[f64] {
        &self.values[(index - self.first) as usize..][..len]
    }

    /// Writes the reflection of the sound `0..end` over what stands before index 0.
    pub(crate) fn reflect_left(&mut self, before: usize) {
        let (len, zero) = (self.end(), (-self.first) as usize);
        for i in 1..=before {
            self.values[zero - i] = self.values[zero + reflected(-(i as i64), len) as usize];
        }
    }

    /// Appends `after` samples, at most `keep`: the reflection of the sound up to here, which begins at index 0.
    pub(crate) fn reflect_right(&mut self, after: usize) {
        self.make_room();
        let len = self.end();
        for i in 0..after as i64 {
            self.values[self.filled] = self.values[(reflected(len + i, len) - self.first) as usize];
            self.filled += 1;
        }
    }
}

/// The index within `0..len` that stands at `index` when sound is continued by reflection, without repeating the edge
/// samples, as far as it takes.
pub(crate) fn reflected(index: i64, len: i64) -> i64 {
    if (0..len).contains(&index) {
        return index;
    }
    let period = (2 * (len - 1)).max(1);
    let index = index.rem_euclid(period);
    if index < len { index } else { period - index }
}

#[cfg(test)]
mod tests {
    use super::reflected;

    #[test]
    fn reflection_does_not_repeat_the_edge() {
        let at = |len: i64| (-4..len + 4).map(|i| reflected(i, len)).collect::<Vec<_>>();
        assert_eq!(at(6), [4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 4, 3, 2, 1]);
        assert_eq!(at(3), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(at(2), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(at(1), [0; 9]);
    }
}
