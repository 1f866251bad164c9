//! Reading and writing single fields.

use super::CapsError;

/// Reads typed fields of a structure, with errors that name the field.
pub(super) struct Fields<'a>(pub &'a gst::StructureRef);

impl Fields<'_> {
    fn error(&self, field: &'static str, expected: &str) -> CapsError {
        let found = self.0.value(field).map_or_else(|_| "nothing".into(), |value| format!("{value:?}"));
        CapsError::Field { field, expected: expected.into(), found }
    }

    /// A whole number of at least `min`.
    pub fn int(&self, field: &'static str, min: i32) -> Result<i32, CapsError> {
        match self.0.get::<i32>(field) {
            Ok(value) if value >= min => Ok(value),
            _ => Err(self.error(field, &format!("an int of at least {min}"))),
        }
    }

    /// A count, at least 1.
    pub fn count(&self, field: &'static str) -> Result<u32, CapsError> {
        self.int(field, 1).map(i32::unsigned_abs)
    }

    /// A boolean; `default` where the field is missing.
    pub fn bool_or(&self, field: &'static str, default: bool) -> Result<bool, CapsError> {
        match self.0.has_field(field) {
            false => Ok(default),
            true => self.0.get(field).map_err(|_| self.error(field, "a boolean")),
        }
    }

    /// A string.
    pub fn string(&self, field: &'static str) -> Result<String, CapsError> {
        self.0.get(field).map_err(|_| self.error(field, "a string"))
    }

    /// A number, written as an int or a string.
    pub fn number(&self, field: &'static str) -> Result<f64, CapsError> {
        let whole = self.0.get::<i32>(field).map(f64::from).ok();
        let text = || self.0.get::<&str>(field).ok().and_then(|text| text.parse().ok());
        whole
            .or_else(text)
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| self.error(field, "a number, as an int or a string"))
    }

    /// One word of a list.
    pub fn word<T: Copy>(&self, field: &'static str, words: &[(&str, T)]) -> Result<T, CapsError> {
        let found = self.0.get::<&str>(field).ok();
        words.iter().find(|(word, _)| Some(*word) == found).map(|&(_, value)| value).ok_or_else(|| {
            let list: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.error(field, &format!("one of {}", list.join(", ")))
        })
    }

    /// `dims`: two whole numbers.
    pub fn dims(&self) -> Result<(u32, u32), CapsError> {
        let dim = |value: &gst::glib::SendValue| u32::try_from(value.get::<i32>().ok()?).ok();
        let array = self.0.get::<gst::ArrayRef>("dims").ok();
        let dims: Vec<_> = array.iter().flat_map(|array| array.iter().map(dim)).collect();
        match dims[..] {
            [Some(rows), Some(columns)] => Ok((rows, columns)),
            _ => Err(self.error("dims", "an array of two ints")),
        }
    }

    /// Nothing, if the structure is a tensor with one of these ids.
    pub fn expect_tensor(&self, ids: &[&str]) -> Result<(), CapsError> {
        let id = self.0.get::<&str>("tensor-id").unwrap_or("nothing");
        if self.0.name() == super::MEDIA_TYPE && ids.contains(&id) {
            return Ok(());
        }
        let expected = format!("{}, tensor-id={}", super::MEDIA_TYPE, ids.join("|"));
        Err(CapsError::Stream { expected, found: format!("{}, tensor-id={id}", self.0.name()) })
    }
}

/// The word that stands for a value.
pub(super) fn word<T: PartialEq>(value: &T, words: &[(&'static str, T)]) -> &'static str {
    words.iter().find(|(_, v)| v == value).map_or("unknown", |(word, _)| word)
}

/// A number as an int where it is whole, as a string where it is not.
pub(super) fn number(value: f64) -> gst::glib::SendValue {
    if value.fract() == 0.0 && value.abs() <= f64::from(i32::MAX) {
        gst::glib::value::ToSendValue::to_send_value(&(value as i32))
    } else {
        gst::glib::value::ToSendValue::to_send_value(&format!("{value:e}"))
    }
}

/// `dims=<rows,columns>`.
pub(super) fn dims(rows: u32, columns: u32) -> gst::Array {
    gst::Array::new([rows as i32, columns as i32])
}
