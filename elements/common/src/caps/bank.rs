//! A filterbank in caps: a buffer, as codecs' own data is.

use listen_features::Bank;

use super::CapsError;
use super::fields::Fields;

/// The field that holds the weights of a filterbank that no formula makes.
pub(super) const FIELD: &str = "filterbank";

/// For each band of `bins` weights: its first bin, how many follow (uint32 each), and those (float32); little-endian.
pub(super) fn packed(weights: &[f32], bins: usize) -> gst::Buffer {
    let mut bytes = Vec::new();
    for band in weights.chunks(bins.max(1)) {
        let first = band.iter().position(|&w| w != 0.0).unwrap_or(0);
        let end = band.iter().rposition(|&w| w != 0.0).map_or(first, |last| last + 1);
        let held = &band[first..end];
        for number in [first, held.len()] {
            bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        bytes.extend(held.iter().flat_map(|w| w.to_le_bytes()));
    }
    gst::Buffer::from_mut_slice(bytes)
}

/// The filterbank of a mel stream; `None` where the formula's triangles are meant.
///
/// # Errors
/// A field that is no buffer, or whose bands are not those that `n-mels` and `n-fft` say.
pub(super) fn read(structure: &gst::StructureRef) -> Result<Option<Bank>, CapsError> {
    if !structure.has_field(FIELD) {
        return Ok(None);
    }
    let f = Fields(structure);
    let (bands, bins) = (f.count("n-mels")? as usize, f.count("n-fft")? as usize / 2 + 1);
    let error = |found: String| {
        let expected = format!("a buffer with the weights of {bands} bands over {bins} bins");
        CapsError::Field { field: FIELD, expected, found }
    };
    let buffer: gst::Buffer = structure.get(FIELD).map_err(|e| error(e.to_string()))?;
    let map = buffer.map_readable().map_err(|e| error(e.to_string()))?;
    let unpacked = unpack(&map, bands, bins);
    let weights = unpacked.ok_or_else(|| error(format!("{} bytes that do not hold them", map.len())))?;
    Ok(Some(Bank::new(FIELD, weights)))
}

fn unpack(mut bytes: &[u8], bands: usize, bins: usize) -> Option<Vec<f32>> {
    // Both are at most some ten thousand in any front end that is taken; caps may say anything.
    let mut weights = vec![0.0; bands.checked_mul(bins).filter(|&size| size <= 1 << 26)?];
    for band in weights.chunks_mut(bins) {
        let ([first, count], rest) = numbers(bytes)?;
        let (held, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
        let places = band.get_mut(first..first.checked_add(count)?)?;
        for (weight, value) in places.iter_mut().zip(held.as_chunks().0) {
            *weight = f32::from_le_bytes(*value);
        }
        bytes = rest;
    }
    bytes.is_empty().then_some(weights)
}

fn numbers(bytes: &[u8]) -> Option<([usize; 2], &[u8])> {
    let (first, rest) = bytes.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    Some(([u32::from_le_bytes(*first) as usize, u32::from_le_bytes(*count) as usize], rest))
}

/// A field's text for people: a filterbank's would fill the screen.
pub(super) fn short(field: &str, text: String) -> String {
    const MOST: usize = 24;
    match text.get(..MOST) {
        Some(beginning) if field == FIELD => format!("{beginning}… ({} bytes)", text.len() / 2),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use listen_features::{Bank, FrontEnd};

    use super::super::mel::{MelCaps, MelFormat};

    fn with(weights: Vec<f32>) -> MelFormat {
        let bank = Some(Bank::new("bank.safetensors", weights));
        MelFormat::new(FrontEnd {
            n_fft: 8,
            win_length: 8,
            n_mels: 3,
            filterbank: bank,
            ..FrontEnd::m2d_16k()
        })
    }

    #[test]
    fn a_filterbank_comes_back_from_caps_and_from_their_text() {
        gst::init().unwrap();
        let format = with(vec![0.0, 0.5, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0]);
        let caps = MelCaps { format: format.clone(), channel: -1 }.to_caps();
        assert_eq!(MelCaps::from_caps(&caps).unwrap().format, format);
        let text: gst::Caps = caps.to_string().parse().unwrap();
        assert_eq!(MelCaps::from_caps(&text).unwrap().format, format);
        assert!(caps.can_intersect(&gst::Caps::from(format.to_structure())));
    }

    #[test]
    fn another_filterbank_is_another_front_end() {
        gst::init().unwrap();
        let (ours, theirs) = (with(vec![1.0; 15]), with(vec![2.0; 15]));
        let plain = MelFormat::new(FrontEnd { filterbank: None, ..ours.front_end.clone() });
        for other in [&theirs, &plain] {
            let caps = MelCaps { format: other.clone(), channel: -1 }.to_caps();
            assert!(other == &plain || !caps.can_intersect(&gst::Caps::from(ours.to_structure())));
            let error =
                ours.expect(&MelCaps::from_caps(&caps).unwrap().format, "a", "b").unwrap_err().to_string();
            assert!(error.contains("filterbank ("), "{error}");
        }
    }

    #[test]
    fn bytes_that_are_no_filterbank_are_refused() {
        gst::init().unwrap();
        let mut structure = with(vec![1.0; 15]).to_structure();
        for bytes in [vec![], vec![0; 3], vec![255; 24], vec![0; 32]] {
            structure.set(super::FIELD, gst::Buffer::from_mut_slice(bytes));
            let error = MelFormat::from_structure(&structure).unwrap_err().to_string();
            assert!(error.contains("filterbank") && error.contains("3 bands over 5 bins"), "{error}");
        }
        structure.set(super::FIELD, "a string");
        assert!(MelFormat::from_structure(&structure).is_err());
    }
}
