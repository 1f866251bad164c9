//! The natural logarithm, in a form that a compiler can put into vector registers.

/// Bits of `sqrt(1/2)`, where a mantissa's range begins, seen from those of 1.
const OFFSET: u64 = ONE - 0x3FE6_A09E_667F_3BCD;
const ONE: u64 = 0x3FF0_0000_0000_0000;
const MANTISSA: u32 = 52;
/// An integer below `2^52` in the low bits of this number's mantissa reads as `2^52` plus it.
const INTEGER: u64 = 0x4330_0000_0000_0000;
const INTEGER_AND_BIAS: f64 = 4_503_599_627_370_496.0 + 1023.0;

/// `ln(x)` for a positive normal `x`, within 1e-12 absolute or relative.
///
/// `x = 2^e m` with `m` in `[sqrt(1/2), sqrt(2))` and `ln m = 2 artanh((m - 1) / (m + 1))` as a series: the first term
/// left out is below `2/15 * 0.172^15 = 5e-13`. It has no branch, no table and no fused operation, so that it gives
/// the same bits in one lane and in many.
#[inline(always)]
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits + OFFSET) >> MANTISSA;
    let m = f64::from_bits((bits + ONE).wrapping_sub(exponent << MANTISSA));
    let e = f64::from_bits(exponent | INTEGER) - INTEGER_AND_BIAS;

    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let series = 1.0 / 11.0 + z * (1.0 / 13.0);
    let series = 1.0 / 9.0 + z * series;
    let series = 1.0 / 7.0 + z * series;
    let series = 1.0 / 5.0 + z * series;
    let series = 1.0 / 3.0 + z * series;
    e * std::f64::consts::LN_2 + 2.0 * s * (1.0 + z * series)
}

#[cfg(test)]
mod tests {
    use super::ln;

    #[test]
    fn agrees_with_the_standard_library_over_the_whole_range() {
        let mut x = f64::from(f32::MIN_POSITIVE);
        while x < 1e90 {
            assert!((ln(x) - x.ln()).abs() < 2e-12, "ln({x:e}) = {} and not {}", ln(x), x.ln());
            x *= 1.000_37;
        }
        for x in
            [1.0, 0.5, 2.0, std::f64::consts::SQRT_2, std::f64::consts::FRAC_1_SQRT_2, 1.0 + f64::EPSILON]
        {
            assert!((ln(x) - x.ln()).abs() < 2e-12, "ln({x:e}) = {} and not {}", ln(x), x.ln());
        }
        assert_eq!(ln(1.0), 0.0);
    }
}
