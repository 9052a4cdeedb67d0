//! Numbers for people: three significant digits, p-values as bounds, never 0 and never a full 100 %.

/// Typography of the target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glyphs {
    /// Whether anything beyond ASCII may be written.
    pub(crate) unicode: bool,
}

/// What stands where there is no number.
pub(crate) const NONE: &str = "-";

/// Three significant digits; scientific beyond 10⁵ and below 10⁻⁴.
pub(crate) fn short(x: f64) -> String {
    if !x.is_finite() {
        return NONE.to_owned();
    }
    if x == 0.0 {
        return "0".to_owned();
    }
    // Rounding first decides the exponent: 9.996 is 10.0, not 10.00.
    let rounded: f64 = format!("{x:.2e}").parse().unwrap_or(x);
    let exponent = rounded.abs().log10().floor() as i32;
    match exponent {
        5.. | ..=-5 => format!("{x:.2e}"),
        _ => format!("{rounded:.*}", usize::try_from(2 - exponent).unwrap_or(0)),
    }
}

/// As [`short`], with a dash for nothing.
pub(crate) fn maybe(x: Option<f64>) -> String {
    x.map_or_else(|| NONE.to_owned(), short)
}

/// An effect between −1 and 1: three digits after the point, as many as tell it from 0 and 1.
pub(crate) fn effect(x: f64) -> String {
    if !x.is_finite() {
        return NONE.to_owned();
    }
    if x != 0.0 && x.abs() < 0.0005 {
        return format!("{x:.0e}");
    }
    let places = (3..=9).find(|p| x == 1.0 || format!("{:.*}", p, x.abs()) != format!("{:.*}", p, 1.0));
    format!("{x:.*}", places.unwrap_or(9))
}

/// A share as per cent. 1 is "100 %" only when it is exactly 1; a share above 0 is never "0 %".
pub(crate) fn percent(share: f64) -> String {
    let x = 100.0 * share;
    if !x.is_finite() {
        return NONE.to_owned();
    }
    if x == 0.0 || x == 100.0 {
        return format!("{x:.0} %");
    }
    if x > 99.9 && x < 100.0 {
        return "> 99.9 %".to_owned();
    }
    if x < 0.01 {
        return "< 0.01 %".to_owned();
    }
    match short(x) {
        text if text.contains('.') => {
            format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
        }
        text => format!("{text} %"),
    }
}

/// Thousands separated by spaces, from five digits on.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// Parameters: `6.74 B`, `350 M`.
pub(crate) fn parameters(n: u64) -> String {
    scaled(n, 1000.0, &["", " K", " M", " B", " T"])
}

/// Bytes: `13.5 GB`, decimal units.
pub(crate) fn bytes(n: u64) -> String {
    scaled(n, 1000.0, &[" B", " kB", " MB", " GB", " TB", " PB"])
}

fn scaled(n: u64, base: f64, units: &[&str]) -> String {
    let (mut x, mut unit) = (n as f64, 0);
    // 999.5 would be shown as 1000.
    while x >= base - 0.5 && unit + 1 < units.len() {
        x /= base;
        unit += 1;
    }
    if unit == 0 { format!("{n}{}", units[0]) } else { format!("{}{}", short(x), units[unit]) }
}

impl Glyphs {
    /// A p-value given as log10. Rounded up, so that it stays a bound: `0.412`, `1.3e-6`, `≤ 1e-123`; never 0.
    pub(crate) fn p(self, log10: f64) -> String {
        let bound = if self.unicode { "≤" } else { "<=" };
        if !log10.is_finite() {
            return NONE.to_owned();
        }
        if log10 >= 0.0 {
            return "1".to_owned();
        }
        if log10 >= -3.0 {
            let p = 10f64.powf(log10);
            let places = (2 - p.log10().floor() as i32).clamp(2, 5);
            let scale = 10f64.powi(places);
            let up = ((p * scale) - 1e-9).ceil() / scale;
            return if up >= 1.0 { "1".to_owned() } else { format!("{up:.0$}", places as usize) };
        }
        let exponent = log10.floor();
        let mantissa = (10f64.powf(log10 - exponent) * 10.0 - 1e-9).ceil() / 10.0;
        if log10 > -16.0 && mantissa < 10.0 {
            return format!("{bound} {mantissa:.1}e{exponent:.0}");
        }
        // A larger bound is still a bound; beyond this the digits of the exponent would fill the line.
        format!("{bound} 1e{:.0}", log10.ceil().max(-1e9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNICODE: Glyphs = Glyphs { unicode: true };

    #[test]
    fn three_significant_digits() {
        let cases = [(0.0, "0"), (9.996, "10.0"), (0.001_234_5, "0.00123"), (612.0, "612"), (1234.0, "1230")];
        for (x, text) in cases {
            assert_eq!(short(x), text);
        }
        assert_eq!((short(1.5e-7), short(f64::NAN)), ("1.50e-7".to_owned(), "-".to_owned()));
        assert_eq!(
            (effect(0.981), effect(0.999_99), effect(1.0)),
            ("0.981".into(), "0.99999".into(), "1.000".into())
        );
        assert_eq!(
            (percent(0.017), percent(0.999_99), percent(1.0)),
            ("1.7 %".into(), "> 99.9 %".into(), "100 %".into())
        );
        assert_eq!((percent(0.99), percent(1e-9)), ("99 %".into(), "< 0.01 %".into()));
        assert_eq!((grouped(352_256), grouped(9999)), ("352 256".into(), "9999".into()));
        assert_eq!((parameters(6_738_415_616), parameters(999_900)), ("6.74 B".into(), "1.00 M".into()));
    }

    #[test]
    fn a_p_value_is_a_bound_and_never_0() {
        let cases = [
            (0.0, "1"),
            (-0.3, "0.502"),
            (-0.000_01, "1"),
            (-2.0, "0.0100"),
            (-5.9, "≤ 1.3e-6"),
            (-123.4, "≤ 1e-123"),
            (-1e9, "≤ 1e-1000000000"),
            (f64::MIN, "≤ 1e-1000000000"),
        ];
        for (log10, text) in cases {
            assert_eq!(UNICODE.p(log10), text);
        }
        for step in 1..40_000 {
            let log10 = f64::from(-step) / 100.0;
            let text = UNICODE.p(log10);
            let shown = text.trim_start_matches("≤ ");
            assert!(shown.bytes().any(|b| (b'1'..=b'9').contains(&b)), "{text}");
            assert!(
                log10 < -300.0 || shown.parse::<f64>().unwrap() >= 10f64.powf(log10) * (1.0 - 1e-9),
                "{text}"
            );
        }
    }
}
