//! Errors of the lower floors as element messages: the text is theirs, domain and code say what kind it is.

use gst::{CoreError, LibraryError, ResourceError, StreamError};
use listen_encoder::EncoderError;
use listen_package::PackageError;
use listen_runtime::RuntimeError;

use crate::caps::CapsError;

/// A package that cannot be used.
pub fn package(error: &PackageError) -> gst::ErrorMessage {
    match error {
        PackageError::NoManifest { .. } | PackageError::Unreadable { .. } | PackageError::NoDefault => {
            gst::error_msg!(ResourceError::NotFound, ("{error}"))
        }
        PackageError::License { .. } => gst::error_msg!(ResourceError::NotAuthorized, ("{error}")),
        _ => gst::error_msg!(ResourceError::Settings, ("{error}")),
    }
}

/// What ONNX Runtime cannot do.
pub fn runtime(error: &RuntimeError) -> gst::ErrorMessage {
    match error {
        RuntimeError::Library(_) => gst::error_msg!(ResourceError::NotFound, ("{error}")),
        RuntimeError::Environment { .. } => gst::error_msg!(LibraryError::Init, ("{error}")),
        RuntimeError::Provider { .. } | RuntimeError::Precision { .. } => {
            gst::error_msg!(LibraryError::Settings, ("{error}"))
        }
        RuntimeError::Load { .. } | RuntimeError::Shared { .. } => {
            gst::error_msg!(ResourceError::OpenRead, ("{error}"))
        }
        RuntimeError::Run { .. } | RuntimeError::Panic { .. } => {
            gst::error_msg!(LibraryError::Encode, ("{error}"))
        }
        RuntimeError::Thread { .. } => gst::error_msg!(ResourceError::NoSpaceLeft, ("{error}")),
        _ => gst::error_msg!(LibraryError::Failed, ("{error}")),
    }
}

/// An encoder that cannot be had.
pub fn encoder(error: &EncoderError) -> gst::ErrorMessage {
    match error {
        EncoderError::Package(error) => package(error),
        EncoderError::Runtime(error) => runtime(error),
        _ => gst::error_msg!(ResourceError::Settings, ("{error}")),
    }
}

/// Caps that do not fit.
pub fn caps(error: &CapsError) -> gst::ErrorMessage {
    match error {
        CapsError::FrontEnds { .. } => gst::error_msg!(CoreError::Negotiation, ("{error}")),
        _ => gst::error_msg!(StreamError::Format, ("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_its_domain_and_keeps_its_words() {
        gst::init().unwrap();
        let says = |message: gst::ErrorMessage, domain: gst::glib::Quark, words: &str| {
            let text = format!("{message:?}");
            assert!(text.contains(words), "{text}");
            assert!(text.contains(&format!("{domain:?}")), "{text} is not of {domain:?}");
        };
        use gst::glib::error::ErrorDomain;
        says(package(&PackageError::NoDefault), ResourceError::domain(), "no default package");
        says(encoder(&EncoderError::Hop), ResourceError::domain(), "a hop of 0 frames");
        let run = RuntimeError::Run { reason: "out of memory".into() };
        says(encoder(&EncoderError::Runtime(run)), LibraryError::domain(), "out of memory");
        let stream = CapsError::Stream { expected: "mels".into(), found: "pixels".into() };
        says(caps(&stream), StreamError::domain(), "expected a stream of mels, found pixels");
    }
}
