//! Requests signed with AWS Signature Version 4, as S3-compatible stores ask for them.
//!
//! Source: Amazon S3 API reference, "Authenticating requests: using the Authorization header (AWS Signature Version 4)"; the examples there are
//! the tests below.

use super::address::Address;
use crate::access::S3Keys;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// SHA-256 of an empty body.
const NO_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Headers that a `GET` of `address` needs to be signed with `keys` at `now` (seconds since 1970, UTC). `range` is the value of its `Range`
/// header, if it has one.
pub(super) fn sign(
    keys: &S3Keys,
    address: &Address,
    range: Option<&str>,
    now: u64,
) -> Vec<(&'static str, String)> {
    let (day, time) = date(now);
    let moment = format!("{day}T{time}Z");
    let mut signed = vec![("host", address.host.clone())];
    signed.extend(range.map(|range| ("range", range.to_owned())));
    signed.push(("x-amz-content-sha256", NO_BODY.to_owned()));
    signed.push(("x-amz-date", moment.clone()));
    signed.extend(keys.session.iter().map(|session| ("x-amz-security-token", session.word().to_owned())));
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let request = {
        let (path, query) = address.path.split_once('?').unwrap_or((&address.path, ""));
        let headers: String =
            signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        format!("GET\n{path}\n{}\n{headers}\n{names}\n{NO_BODY}", sorted(query))
    };
    let scope = format!("{day}/{}/s3/aws4_request", keys.region);
    let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let first = format!("AWS4{}", keys.secret.word());
    let key = [&day, keys.region.as_str(), "s3", "aws4_request"]
        .iter()
        .fold(first.into_bytes(), |key, part| keyed(&key, part));
    let signature = hex(&keyed(&key, &text));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
        keys.id.word()
    );
    signed.retain(|(name, _)| name.starts_with("x-amz-"));
    signed.push(("authorization", authorization));
    signed
}

/// A query with its parameters in order; one without a value keeps an empty one.
fn sorted(query: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    // A keyed hash takes a key of any length.
    let Ok(mut hash) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    hash.update(text.as_bytes());
    hash.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `YYYYMMDD` and `hhmmss` of a moment, in the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn date(now: u64) -> (String, String) {
    let (days, seconds) = (now / 86_400 + 719_468, now % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months counted from March.
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let time = format!("{:02}{:02}{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    (format!("{year:04}{month:02}{day:02}"), time)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2013-05-24, midnight.
    const THEN: u64 = 1_369_353_600;

    fn keys(session: Option<&str>) -> S3Keys {
        let (id, secret) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        S3Keys::new(id, secret, session, None).unwrap()
    }

    fn authorization(address: &str, range: Option<&str>) -> String {
        let address = Address::parse(address).unwrap();
        sign(&keys(None), &address, range, THEN).pop().unwrap().1
    }

    #[test]
    fn the_published_examples_are_signed_as_published() {
        let scope = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
        let host = "https://examplebucket.s3.amazonaws.com";
        assert_eq!(
            authorization(&format!("{host}/test.txt"), Some("bytes=0-9")),
            format!(
                "{scope},SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
                 Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
            )
        );
        for (query, signature) in [
            ("?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("?prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ] {
            let names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date";
            let expected = format!("{scope},{names},Signature={signature}");
            assert_eq!(authorization(&format!("{host}/{query}"), None), expected);
        }
    }

    #[test]
    fn a_session_is_sent_and_signed_and_another_moment_gives_another_signature() {
        let address = Address::parse("https://store.example/bucket/key").unwrap();
        let headers = sign(&keys(Some("session")), &address, None, THEN);
        assert!(headers.contains(&("x-amz-security-token", "session".to_owned())));
        let authorization = &headers.last().unwrap().1;
        assert!(authorization.contains("x-amz-date;x-amz-security-token,"), "{authorization}");
        assert_ne!(headers, sign(&keys(Some("session")), &address, None, THEN + 1));
        assert_ne!(authorization, &sign(&keys(None), &address, None, THEN).pop().unwrap().1);
    }

    #[test]
    fn moments_have_their_dates() {
        for (now, day, time) in [
            (0, "19700101", "000000"),
            (951_782_399, "20000228", "235959"),
            (951_782_400, "20000229", "000000"),
            (1_709_251_199, "20240229", "235959"),
            (4_102_444_800, "21000101", "000000"),
        ] {
            assert_eq!(date(now), (day.to_owned(), time.to_owned()));
        }
    }
}
