//! What can be wrong with caps.

/// Caps that do not say what they must, or say something else than is expected.
///
/// Each variant carries both sides, so that the message names the fault and not only its kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CapsError {
    /// The stream is something else.
    #[error("expected a stream of {expected}, found {found}")]
    Stream {
        /// Media type and `tensor-id` expected.
        expected: String,
        /// What was found there.
        found: String,
    },
    /// A field is missing or of another type.
    #[error("caps field {field}: expected {expected}, found {found}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its type, or the values that it may have.
        expected: String,
        /// The value found, or `nothing`.
        found: String,
    },
    /// Sender and receiver do not mean the same frames.
    #[error("the front ends differ in {differences}. {expected_by} expects: {expected}. {found_by}: {found}")]
    FrontEnds {
        /// The fields that differ, with both values.
        differences: String,
        /// Who expects `expected`.
        expected_by: String,
        /// All fields expected.
        expected: String,
        /// Who says `found`.
        found_by: String,
        /// All fields found.
        found: String,
    },
}

/// The one structure of fixed caps.
pub(super) fn single(caps: &gst::CapsRef) -> Result<&gst::StructureRef, CapsError> {
    match (caps.structure(0), caps.size()) {
        (Some(structure), 1) => Ok(structure),
        _ => Err(CapsError::Stream { expected: "one kind of tensor".into(), found: format!("{caps}") }),
    }
}
