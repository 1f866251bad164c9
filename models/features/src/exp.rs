//! The exponential, in a form that a compiler can put into vector registers.

use std::f32::consts::LOG2_E;

/// Added to a float32 below 2^22 it leaves the nearest integer in the low bits.
const TO_INTEGER: f32 = 12_582_912.0;
/// ln 2 in two parts, the first of which has few bits, so that its small multiples are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `e^x` within 3e-7 of its value, for `x` in -87 to 88; outside it stays at the nearest end.
///
/// `x = k ln 2 + r` with `|r| <= ln 2 / 2`, and `e^r` as its series: the first term left out is below
/// `0.35^7 / 7! = 1.3e-7`. It has no branch and no table.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * LOG2_E + TO_INTEGER;
    let k = shifted - TO_INTEGER;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let series = 1.0 / 120.0 + r * (1.0 / 720.0);
    let series = 1.0 / 24.0 + r * series;
    let series = 1.0 / 6.0 + r * series;
    let series = 0.5 + r * series;
    let power = (shifted.to_bits().wrapping_sub(TO_INTEGER.to_bits()).wrapping_add(127)) << 23;
    f32::from_bits(power) * (1.0 + r * (1.0 + r * series))
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn agrees_with_the_standard_library_over_the_whole_range() {
        for i in -870_000..=880_000 {
            let x = i as f32 / 10_000.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 3e-7, "exp({x}) = {found:e} and not {expected:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY) > 1e37);
    }
}
