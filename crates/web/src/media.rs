//! What in an image or a video says who made it? Descriptions are left out; what shows the picture stays.

use crate::config::Medium;
use crate::mask::Mask;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The bytes without descriptions, and their media type.
pub(crate) fn clean(bytes: &[u8], medium: Medium) -> Result<(Vec<u8>, &'static str), &'static str> {
    match medium {
        Medium::Image if bytes.starts_with(PNG) => Ok((png(bytes).ok_or("is a broken PNG")?, "image/png")),
        Medium::Image if bytes.starts_with(b"\xff\xd8\xff") => {
            Ok((jpeg(bytes).ok_or("is a broken JPEG")?, "image/jpeg"))
        }
        Medium::Video if bytes.get(4..8) == Some(b"ftyp") => {
            let mut out = bytes.to_vec();
            mp4(&mut out, 0).ok_or("is a broken MP4")?;
            Ok((out, "video/mp4"))
        }
        Medium::Video => Err("is no MP4"),
        _ => Err("is neither PNG nor JPEG"),
    }
}

/// The first run of text in the bytes that names somebody.
pub(crate) fn names(bytes: &[u8], mask: &Mask) -> Option<String> {
    // Eight letters or more in a row are rarely chance among compressed bytes; shorter runs name somebody by chance too often.
    let is_text = |b: &u8| b.is_ascii_graphic() || *b == b' ';
    let runs = bytes.split(|b| !is_text(b)).filter(|run| run.len() >= 8);
    let texts = runs.map(|run| String::from_utf8_lossy(run).into_owned());
    texts
        .filter(|text| {
            text.chars().filter(|c| c.is_alphanumeric() || *c == ' ').count() * 5 >= text.len() * 4
        })
        .find(|text| mask.cover(text).1)
        .map(|text| text.chars().take(60).collect())
}

/// Only the chunks that are needed to show the picture.
fn png(bytes: &[u8]) -> Option<Vec<u8>> {
    const KEPT: [&[u8; 4]; 12] = [
        b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"acTL", b"fcTL",
        b"fdAT",
    ];
    let mut out = PNG.to_vec();
    let mut rest = bytes.get(PNG.len()..)?;
    loop {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let chunk = rest.get(..length.checked_add(12)?)?;
        let kind = chunk.get(4..8)?;
        if KEPT.iter().any(|kept| kept.as_slice() == kind) {
            out.extend_from_slice(chunk);
        }
        if kind == b"IEND" {
            return Some(out);
        }
        rest = rest.get(chunk.len()..)?;
    }
}

/// Without comments and application segments, those for colours excepted.
fn jpeg(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = bytes.get(..2)?.to_vec();
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1)?;
        if *bytes.get(at)? != 0xff {
            return None;
        }
        if marker == 0xff {
            at += 1;
            continue;
        }
        // The scan: everything up to the end belongs to the picture; what lies behind the end does not.
        if marker == 0xda {
            let end = bytes.windows(2).rposition(|pair| pair == [0xff, 0xd9])?;
            out.extend_from_slice(bytes.get(at..end + 2)?);
            return Some(out);
        }
        let length = u16::from_be_bytes(bytes.get(at + 2..at + 4)?.try_into().ok()?) as usize;
        let segment = bytes.get(at..at + 2 + length)?;
        let described = matches!(marker, 0xe1..=0xed | 0xef | 0xfe);
        if !described {
            out.extend_from_slice(segment);
        }
        at += 2 + length.max(2);
    }
}

/// Overwrites descriptions with zeros and calls them free space: nothing moves, so that offsets stay true.
fn mp4(bytes: &mut [u8], depth: u32) -> Option<()> {
    let mut at = 0;
    while at < bytes.len() {
        let head: [u8; 8] = bytes.get(at..at + 8)?.try_into().ok()?;
        let short = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (size, header) = match short {
            0 => (bytes.len() - at, 8),
            1 => {
                (usize::try_from(u64::from_be_bytes(bytes.get(at + 8..at + 16)?.try_into().ok()?)).ok()?, 16)
            }
            size => (size, 8),
        };
        let inside = at.checked_add(header)?..at.checked_add(size)?;
        let kind = &head[4..];
        let body = bytes.get_mut(inside.clone())?;
        match kind {
            b"udta" | b"meta" | b"uuid" | b"free" | b"skip" => {
                body.fill(0);
                bytes.get_mut(at + 4..at + 8)?.copy_from_slice(b"free");
            }
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" if depth < 8 => mp4(body, depth + 1)?,
            // The name of a handler is text that a tool may sign: it stands behind 24 bytes.
            b"hdlr" => body.get_mut(24..)?.fill(0),
            _ => {}
        }
        at = inside.end;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_be_bytes()[..], kind, body, &[0; 4]].concat()
    }

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    #[test]
    fn descriptions_go_and_the_picture_stays() {
        let header = chunk(b"IHDR", &[0; 13]);
        let end = chunk(b"IEND", &[]);
        let described =
            [PNG, &header, &chunk(b"tEXt", b"Software\0Midjourney"), &end, b"Midjourney"].concat();
        let (out, kind) = clean(&described, Medium::Image).unwrap();
        assert_eq!((out, kind), ([PNG, &header, &end].concat(), "image/png"));

        let scan = [0xff, 0xda, 0, 2, 1, 2, 3, 0xff, 0xd9];
        let comment = [&[0xff, 0xfe, 0, 12][..], b"Midjourney"].concat();
        let table = [0xff, 0xdb, 0, 4, 9, 9];
        let jpeg = [&[0xff, 0xd8][..], &comment, &table, &scan, b"tail"].concat();
        assert_eq!(clean(&jpeg, Medium::Image).unwrap().0, [&[0xff, 0xd8][..], &table, &scan].concat());

        let film = |udta: &[u8], kind: &[u8; 4]| {
            [boxed(b"ftyp", b"isom"), boxed(b"moov", &boxed(kind, udta)), boxed(b"mdat", b"data")].concat()
        };
        let (out, _) = clean(&film(b"by Sora!", b"udta"), Medium::Video).unwrap();
        assert_eq!(out, film(&[0; 8], b"free"));
    }

    #[test]
    fn what_is_broken_or_something_else_is_refused() {
        for bytes in [&b""[..], b"GIF89a", PNG, b"\xff\xd8\xff\xe1\xff\xff", b"<svg onload='alert(1)'>"] {
            assert!(clean(bytes, Medium::Image).is_err());
        }
        let endless = [PNG, &[0xff, 0xff, 0xff, 0xff], b"IDAT"].concat();
        assert!(clean(&endless, Medium::Image).is_err());
        let loop_of_nothing = [&8_u32.to_be_bytes()[..], b"ftyp", &4_u32.to_be_bytes(), b"moov"].concat();
        assert!(clean(&loop_of_nothing, Medium::Video).is_err());
    }

    #[test]
    fn names_that_are_left_are_found() {
        let mask = Mask::new(&[]);
        assert!(names(b"\0\x01made with Midjourney v6\0", &mask).is_some());
        assert!(names(b"\0\x01nothing to see here\0GPT\0", &mask).is_none());
    }
}
