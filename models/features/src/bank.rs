//! A filterbank that a model brings along, in place of the triangles.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{FrontEnd, FrontEndError};

/// The bands' weights as a model was trained with them: a file that the manifest names, and what is in it once it is read.
///
/// Two are the same where their weights are; where those were not read, where the files have the same name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Bank {
    file: String,
    /// `[n_mels, n_fft / 2 + 1]`
    weights: Option<Arc<[f32]>>,
}

impl Bank {
    /// With its weights `[n_mels, n_fft / 2 + 1]`, the bins of a band one after the other.
    pub fn new(file: impl Into<String>, weights: Vec<f32>) -> Self {
        Self { file: file.into(), weights: Some(weights.into()) }
    }

    /// The file of the package.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The weights, if they were read.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// Whether the weights are those of `bands` bands over `bins` bins, where they were read.
    pub(crate) fn validate(&self, bands: u32, bins: u32) -> Result<(), FrontEndError> {
        let Some(weights) = self.weights() else { return Ok(()) };
        let expected = bands as usize * bins as usize;
        if weights.len() != expected {
            return Err(FrontEndError::BankSize { expected, found: weights.len() });
        }
        let wrong = |weight: &&f32| !(weight.is_finite() && **weight >= 0.0);
        weights.iter().find(wrong).map_or(Ok(()), |&found| Err(FrontEndError::BankWeight { found }))
    }
}

impl PartialEq for Bank {
    fn eq(&self, other: &Self) -> bool {
        match (&self.weights, &other.weights) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs) || ours == theirs,
            (None, None) => self.file == other.file,
            _ => false,
        }
    }
}

impl From<String> for Bank {
    fn from(file: String) -> Self {
        Self { file, weights: None }
    }
}

impl From<Bank> for String {
    fn from(bank: Bank) -> Self {
        bank.file
    }
}

impl FrontEnd {
    /// Bins of a spectrum: those of 0 Hz and of half the sample rate, and all between.
    pub fn bins(&self) -> u32 {
        self.n_fft / 2 + 1
    }

    /// Nothing, if a filterbank that a file holds was read.
    pub(crate) fn must_be_read(&self) -> Result<(), FrontEndError> {
        match &self.filterbank {
            Some(bank) if bank.weights().is_none() => {
                Err(FrontEndError::BankNotRead { file: bank.file().into() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bank;
    use crate::{Filterbank, FrontEnd, FrontEndError, log_mel};

    fn front_end(weights: Vec<f32>) -> FrontEnd {
        FrontEnd { filterbank: Some(Bank::new("bank", weights)), ..FrontEnd::m2d_16k() }
    }

    /// The formula's own triangles, as a file would hold them.
    fn triangles(front_end: &FrontEnd) -> Vec<f32> {
        let bins = front_end.bins() as usize;
        let mut dense = vec![0.0; front_end.n_mels as usize * bins];
        for (band, bin, weight) in Filterbank::new(front_end).iter() {
            dense[band * bins + bin] = weight as f32;
        }
        dense
    }

    #[test]
    fn the_formulas_own_weights_give_its_frames() {
        let samples: Vec<f32> = (0..4_000).map(|n| (n as f32 * 0.05).sin() * 0.3).collect();
        let formula = FrontEnd::m2d_16k();
        let expected = log_mel(&formula, &samples).unwrap();
        let found = log_mel(&front_end(triangles(&formula)), &samples).unwrap();
        for (a, b) in expected.iter().zip(&found) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
        // And others give others, band by band.
        let mut other = triangles(&formula);
        other[7 * 201..8 * 201].fill(1.0);
        let found = log_mel(&front_end(other), &samples).unwrap();
        for (i, (a, b)) in expected.iter().zip(&found).enumerate() {
            assert_eq!((a - b).abs() > 1e-3, i % 80 == 7, "band {}", i % 80);
        }
    }

    #[test]
    fn wrong_weights_are_named() {
        let error = |weights| front_end(weights).validate().unwrap_err();
        assert_eq!(error(vec![0.0; 5]), FrontEndError::BankSize { expected: 80 * 201, found: 5 });
        let mut weights = vec![0.0; 80 * 201];
        weights[9] = -1.0;
        assert_eq!(error(weights), FrontEndError::BankWeight { found: -1.0 });
        let unread = FrontEnd { filterbank: Some(String::from("bank").into()), ..FrontEnd::m2d_16k() };
        assert_eq!(unread.validate(), Ok(()));
        assert_eq!(log_mel(&unread, &[0.0; 999]), Err(FrontEndError::BankNotRead { file: "bank".into() }));
    }
}
