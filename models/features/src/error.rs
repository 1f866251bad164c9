//! What can be wrong with a front end or with what it is given.

use crate::{FrontEnd, PadMode};

/// A front end that cannot be built, or sound that it cannot take.
///
/// Each variant carries the numbers that disagree, so that the message names the fault and not only its kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontEndError {
    /// A number of the front end is outside of its range.
    #[error("front end: {name} must be {min} to {max}, found {found}")]
    OutOfRange {
        /// The field.
        name: &'static str,
        /// Smallest value taken.
        min: u32,
        /// Largest value taken.
        max: u32,
        /// The value found.
        found: u32,
    },
    /// The transform's length is odd.
    #[error("front end: n_fft must be even, found {found}")]
    OddTransform {
        /// The length found.
        found: u32,
    },
    /// The mel band is empty or reaches beyond half the sample rate.
    #[error("front end: f_min {f_min} Hz to f_max {f_max} Hz must be a band within 0 to {nyquist} Hz")]
    Band {
        /// Lower edge.
        f_min: f64,
        /// Upper edge.
        f_max: f64,
        /// Half the sample rate.
        nyquist: f64,
    },
    /// Centred frames need padding, others take none.
    #[error(
        "front end: pad_mode {found:?} does not go with center={center}, expected {:?}",
        if *center { PadMode::Reflect } else { PadMode::None }
    )]
    Padding {
        /// Whether frames are centred.
        center: bool,
        /// The padding found.
        found: PadMode,
    },
    /// The logarithm's constant is not a positive number.
    #[error("front end: {name} of the logarithm must be {min:e} to {max:e}, found {found:e}")]
    LogConstant {
        /// The constant.
        name: &'static str,
        /// Smallest value taken.
        min: f64,
        /// Largest value taken.
        max: f64,
        /// The value found.
        found: f64,
    },
    /// Sound shorter than the reflection at its edges.
    #[error("reflection at the edges needs at least {expected} samples, found {found}")]
    TooShort {
        /// Samples needed.
        expected: u64,
        /// Samples found.
        found: u64,
    },
    /// A filterbank's file holds another number of weights.
    #[error("the filterbank must have {expected} weights (bands x bins), found {found}")]
    BankSize {
        /// Weights needed.
        expected: usize,
        /// Weights found.
        found: usize,
    },
    /// A weight of a filterbank that no band can have.
    #[error("a weight of the filterbank must be a number of at least 0, found {found}")]
    BankWeight {
        /// The weight.
        found: f32,
    },
    /// A filterbank that nobody read from its file.
    #[error("the filterbank {file:?} must be read before frames are made")]
    BankNotRead {
        /// The file.
        file: String,
    },
    /// A window or hop of [`ExactWindows`](crate::ExactWindows) without frames.
    #[error("a {name} of {found} frames; it must be at least 1 and at most {max}")]
    Frames {
        /// `window` or `hop`.
        name: &'static str,
        /// Largest value taken.
        max: usize,
        /// The value found.
        found: usize,
    },
}

impl FrontEnd {
    /// Longest transform and hop taken, in samples, and most bands: far above any model's, far below what exhausts memory.
    const MAX: u32 = 65_536;

    /// Whether frames can be made with these numbers.
    ///
    /// # Errors
    /// The first field that is out of range or disagrees with another, with both values.
    pub fn validate(&self) -> Result<(), FrontEndError> {
        let range = |name, min, max, found| match found {
            found if (min..=max).contains(&found) => Ok(()),
            found => Err(FrontEndError::OutOfRange { name, min, max, found }),
        };
        range("sample_rate", 1, 1_000_000, self.sample_rate)?;
        range("n_fft", 2, Self::MAX, self.n_fft)?;
        if !self.n_fft.is_multiple_of(2) {
            return Err(FrontEndError::OddTransform { found: self.n_fft });
        }
        range("win_length", 1, self.n_fft, self.win_length)?;
        range("hop_length", 1, Self::MAX, self.hop_length)?;
        range("n_mels", 1, 4_096, self.n_mels)?;

        let (f_min, f_max, nyquist) = (self.f_min, self.f_max, f64::from(self.sample_rate) / 2.0);
        if !(0.0 <= f_min && f_min < f_max && f_max <= nyquist) {
            return Err(FrontEndError::Band { f_min, f_max, nyquist });
        }
        if self.center != (self.pad_mode == PadMode::Reflect) {
            return Err(FrontEndError::Padding { center: self.center, found: self.pad_mode });
        }
        let (name, found) = self.log.constant();
        let (min, max) = (f64::from(f32::MIN_POSITIVE), 1e6);
        if !(min..=max).contains(&found) {
            return Err(FrontEndError::LogConstant { name, min, max, found });
        }
        self.filterbank.as_ref().map_or(Ok(()), |bank| bank.validate(self.n_mels, self.bins()))
    }
}
