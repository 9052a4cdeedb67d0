//! The sketch on disk: little-endian, versioned, every length checked against what remains before anything is allocated.
//!
//! `magic (16 bytes) | u32 version | body | u64 xxh3 of everything before it`. Strings and vectors carry a u32 length.
//! A reader refuses versions that it does not know; a field is never reinterpreted under the same version.

use crate::build::Piece;
use crate::{Factor, GroupSketch, PartSummary, Pattern, SelfCheck, Sketch, SketchParams, UnitSketch};
use stemmata_architecture::{ChannelAxis, Component, ComponentInfo, Norm, Role, Term};
use stemmata_model::{Digest, printable};
use xxhash_rust::xxh3::xxh3_64;

/// First bytes of every sketch file.
pub const MAGIC: [u8; 16] = *b"stemmata sketch\n";
/// Matching takes time in the square of the units of a layer.
const MOST_UNITS: u32 = 4096;
/// Version written of a sketch of all rows, and of a sketch of some: the same with the number of blocks behind the seed.
const VERSION: u32 = 2;
const VERSION_OF_BLOCKS: u32 = 3;

/// Why a sketch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not a sketch.
    #[error("not a sketch: the first 16 bytes are not `stemmata sketch`")]
    NotASketch,
    /// Written by another version.
    #[error(
        "sketch version {found} is not readable by this build, which reads versions {VERSION} and {VERSION_OF_BLOCKS}"
    )]
    Version {
        /// Version in the file.
        found: u32,
    },
    /// Ends early or claims more than there is.
    #[error("sketch is cut off: {wanted} bytes wanted at byte {at}, {left} left")]
    Truncated {
        /// Position.
        at: usize,
        /// Bytes wanted.
        wanted: u64,
        /// Bytes left.
        left: usize,
    },
    /// The checksum does not match.
    #[error("sketch is damaged: its checksum does not match")]
    Checksum,
    /// A field has no meaning.
    #[error("sketch is malformed: {0}")]
    Malformed(String),
}

/// Encodes a sketch.
pub fn encode(sketch: &Sketch) -> Vec<u8> {
    let mut w = Writer(front(sketch));
    w.list(&sketch.groups, group_to);
    w.list(&sketch.units, unit_to);
    w.0.extend(back(sketch));
    let checksum = xxh3_64(&w.0);
    w.u64(checksum);
    w.0
}

/// What comes before the groups.
pub(crate) fn front(sketch: &Sketch) -> Vec<u8> {
    let mut w = Writer(Vec::with_capacity(1 << 16));
    w.0.extend_from_slice(&MAGIC);
    let p = &sketch.params;
    w.u32(if p.blocks == 0 { VERSION } else { VERSION_OF_BLOCKS });
    for value in [p.buckets, p.channels, p.units, p.unit_buckets] {
        w.u32(value);
    }
    w.u64(p.seed);
    if p.blocks > 0 {
        w.u32(p.blocks);
    }
    for text in [&sketch.reference, &sketch.digest, &sketch.format, &sketch.family] {
        w.text(text);
    }
    w.u8(u8::from(sketch.inferred));
    w.u64(sketch.parameters);
    w.u64(sketch.bytes_read);
    w.list(&sketch.components, |w, c| {
        w.text(c.component.name());
        w.u8(match c.norm {
            Norm::Rms => 0,
            Norm::Layer => 1,
            Norm::Unknown => 2,
        });
        w.u8(u8::from(c.gated));
        w.u32(c.layers);
        [c.residual, c.query_heads, c.kv_heads, c.head_dim].iter().for_each(|x| w.u64(*x));
    });
    w.list(&sketch.parts, |w, p| {
        w.text(p.component.name());
        w.option(p.layer);
        w.option(p.expert);
        w.text(p.role.name());
        w.u8(u8::from(p.term == Term::Bias));
        w.u64(p.rows);
        w.u64(p.cols);
        w.0.extend_from_slice(&p.digest.0.to_le_bytes());
        w.f64(p.squares);
    });
    w.0
}

fn group_to(w: &mut Writer, g: &GroupSketch) {
    w.text(g.component.name());
    w.option(g.layer);
    w.text(g.axis.name());
    w.list(&g.factors, |w, f| {
        w.text(f.role.name());
        w.option(f.expert);
        w.u64(f.total);
        w.f64(f.squares);
        w.list(&f.norms, |w, x| w.f32(*x));
        w.list(&f.scales, |w, x| w.f32(*x));
        w.codes(&f.codes);
    });
}

fn unit_to(w: &mut Writer, u: &UnitSketch) {
    w.text(u.component.name());
    w.option(u.layer);
    w.u64(u.total);
    w.list(&u.scales, |w, x| w.f32(*x));
    w.codes(&u.codes);
}

/// One group or unit.
pub(crate) fn piece(piece: &Piece) -> Vec<u8> {
    let mut w = Writer(Vec::new());
    match piece {
        Piece::Group(group) => group_to(&mut w, group),
        Piece::Unit(unit) => unit_to(&mut w, unit),
    }
    w.0
}

/// What comes after the units, but for the checksum.
pub(crate) fn back(sketch: &Sketch) -> Vec<u8> {
    let mut w = Writer(Vec::new());
    w.list(&sketch.checks, |w, (component, check)| {
        w.text(component.name());
        let (kind, axis) = match check.pattern {
            Pattern::Ones(axis) => (0, axis.name()),
            Pattern::Diagonal(axis) => (1, axis.name()),
            Pattern::Labels => (2, ""),
        };
        w.u8(kind);
        w.text(axis);
        w.f64(check.log10_p);
    });
    w.0
}

/// Decodes a sketch. Never panics; allocates no more than a small multiple of the input.
pub fn decode(bytes: &[u8]) -> Result<Sketch, DecodeError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(DecodeError::NotASketch);
    }
    let mut r = Reader { bytes, at: MAGIC.len() };
    let version = r.u32()?;
    if !matches!(version, VERSION | VERSION_OF_BLOCKS) {
        return Err(DecodeError::Version { found: version });
    }
    let body = bytes.len().checked_sub(8).filter(|end| *end >= r.at).ok_or(DecodeError::Checksum)?;
    if xxh3_64(&bytes[..body]).to_le_bytes() != bytes[body..] {
        return Err(DecodeError::Checksum);
    }
    r.bytes = &bytes[..body];
    let params = SketchParams {
        buckets: r.u32()?,
        channels: r.u32()?,
        units: r.u32()?,
        unit_buckets: r.u32()?,
        seed: r.u64()?,
        blocks: if version == VERSION_OF_BLOCKS { r.u32()? } else { 0 },
    };
    if (params.blocks == 0) != (version == VERSION) {
        return Err(DecodeError::Malformed("it names no blocks".to_owned()));
    }
    if params.buckets == 0 || params.unit_buckets == 0 || params.units > MOST_UNITS {
        return Err(DecodeError::Malformed("its parameters are out of range".to_owned()));
    }
    let sketch = Sketch {
        params,
        reference: r.text()?,
        digest: r.text()?,
        format: r.text()?,
        family: r.text()?,
        inferred: r.u8()? != 0,
        parameters: r.u64()?,
        bytes_read: r.u64()?,
        components: r.list(2, component)?,
        parts: r.list(4, part)?,
        groups: r.list(4, |r| group(r, &params))?,
        units: r.list(4, |r| unit(r, &params))?,
        checks: r.list(17, check)?,
    };
    if r.at != r.bytes.len() {
        return Err(DecodeError::Malformed(format!("{} bytes after the end", r.bytes.len() - r.at)));
    }
    Ok(sketch)
}

fn component(r: &mut Reader<'_>) -> Result<ComponentInfo, DecodeError> {
    Ok(ComponentInfo {
        component: r.component()?,
        norm: match r.u8()? {
            0 => Norm::Rms,
            1 => Norm::Layer,
            _ => Norm::Unknown,
        },
        gated: r.u8()? != 0,
        layers: r.u32()?,
        residual: r.u64()?,
        query_heads: r.u64()?,
        kv_heads: r.u64()?,
        head_dim: r.u64()?,
    })
}

fn part(r: &mut Reader<'_>) -> Result<PartSummary, DecodeError> {
    Ok(PartSummary {
        component: r.component()?,
        layer: r.option()?,
        expert: r.option()?,
        role: r.role()?,
        term: if r.u8()? == 0 { Term::Weight } else { Term::Bias },
        rows: r.u64()?,
        cols: r.u64()?,
        digest: Digest(u128::from_le_bytes(r.take(16)?.try_into().expect("16 bytes were taken"))),
        squares: r.f64()?,
    })
}

fn group(r: &mut Reader<'_>, params: &SketchParams) -> Result<GroupSketch, DecodeError> {
    let component = r.component()?;
    let layer = r.option()?;
    let axis = r.axis()?;
    let factors = r.list(8, |r| {
        let factor = Factor {
            role: r.role()?,
            expert: r.option()?,
            total: r.u64()?,
            squares: r.f64()?,
            norms: r.list(4, Reader::f32)?,
            scales: r.list(4, Reader::f32)?,
            codes: r.codes()?,
        };
        let kept = factor.scales.len();
        let whole = kept.checked_mul(params.buckets as usize) == Some(factor.codes.len());
        if factor.norms.len() != kept || !whole || kept as u64 != factor.total.min(u64::from(params.channels))
        {
            return Err(DecodeError::Malformed("a factor's lengths disagree".to_owned()));
        }
        Ok(factor)
    })?;
    Ok(GroupSketch { component, layer, axis, factors })
}

fn unit(r: &mut Reader<'_>, params: &SketchParams) -> Result<UnitSketch, DecodeError> {
    let unit = UnitSketch {
        component: r.component()?,
        layer: r.option()?,
        total: r.u64()?,
        scales: r.list(4, Reader::f32)?,
        codes: r.codes()?,
    };
    let most = unit.total.min(u64::from(params.units));
    let kept = unit.scales.len() as u64;
    if kept > most || (kept < most && params.blocks == 0) {
        return Err(DecodeError::Malformed(
            "a unit sketch holds more units than its parameters allow".to_owned(),
        ));
    }
    if unit.scales.len().checked_mul(params.unit_buckets as usize) != Some(unit.codes.len()) {
        return Err(DecodeError::Malformed("a unit sketch's lengths disagree".to_owned()));
    }
    Ok(unit)
}

fn check(r: &mut Reader<'_>) -> Result<(Component, SelfCheck), DecodeError> {
    let component = r.component()?;
    let pattern = match r.u8()? {
        0 => Pattern::Ones(r.axis()?),
        1 => Pattern::Diagonal(r.axis()?),
        2 => {
            r.text()?;
            Pattern::Labels
        }
        other => return Err(DecodeError::Malformed(format!("unknown pattern {other}"))),
    };
    let log10_p = r.f64()?;
    if log10_p.is_nan() || log10_p > 0.0 {
        return Err(DecodeError::Malformed("a check has no probability".to_owned()));
    }
    Ok((component, SelfCheck { pattern, log10_p }))
}

struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, x: u8) {
        self.0.push(x);
    }
    fn u32(&mut self, x: u32) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }
    fn u64(&mut self, x: u64) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }
    fn f32(&mut self, x: f32) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }
    fn f64(&mut self, x: f64) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }
    fn option(&mut self, x: Option<u32>) {
        // Zero is "none"; layers and experts are far below the limit.
        self.u32(x.map_or(0, |x| x.saturating_add(1)));
    }
    fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
    }
    fn codes(&mut self, codes: &[i8]) {
        self.u32(codes.len() as u32);
        self.0.extend(codes.iter().map(|c| *c as u8));
    }
    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Writer, &T)) {
        self.u32(items.len() as u32);
        items.iter().for_each(|item| write(self, item));
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, wanted: usize) -> Result<&'a [u8], DecodeError> {
        let left = self.bytes.len() - self.at;
        if wanted > left {
            return Err(DecodeError::Truncated { at: self.at, wanted: wanted as u64, left });
        }
        let taken = &self.bytes[self.at..self.at + wanted];
        self.at += wanted;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("N bytes were taken"))
    }
    fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }
    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }
    fn f32(&mut self) -> Result<f32, DecodeError> {
        self.array().map(f32::from_le_bytes)
    }
    fn f64(&mut self) -> Result<f64, DecodeError> {
        self.array().map(f64::from_le_bytes)
    }
    fn option(&mut self) -> Result<Option<u32>, DecodeError> {
        Ok(self.u32()?.checked_sub(1))
    }
    fn text(&mut self) -> Result<String, DecodeError> {
        let length = self.u32()? as usize;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
    fn codes(&mut self) -> Result<Vec<i8>, DecodeError> {
        let length = self.u32()? as usize;
        Ok(self.take(length)?.iter().map(|c| *c as i8).collect())
    }
    /// Each item takes at least `smallest` bytes, which bounds the count before anything is allocated.
    fn list<T>(
        &mut self,
        smallest: usize,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.u32()? as usize;
        let left = self.bytes.len() - self.at;
        if count.checked_mul(smallest).is_none_or(|wanted| wanted > left) {
            return Err(DecodeError::Truncated { at: self.at, wanted: count as u64, left });
        }
        (0..count).map(|_| read(self)).collect()
    }
    fn component(&mut self) -> Result<Component, DecodeError> {
        let name = self.text()?;
        Component::ALL
            .into_iter()
            .find(|c| c.name() == name)
            .ok_or_else(|| DecodeError::Malformed(format!("unknown component `{}`", printable(&name))))
    }
    fn axis(&mut self) -> Result<ChannelAxis, DecodeError> {
        let name = self.text()?;
        ChannelAxis::ALL
            .into_iter()
            .find(|axis| axis.name() == name)
            .ok_or_else(|| DecodeError::Malformed(format!("unknown axis `{}`", printable(&name))))
    }
    fn role(&mut self) -> Result<Role, DecodeError> {
        let name = self.text()?;
        Role::from_name(&name)
            .ok_or_else(|| DecodeError::Malformed(format!("unknown role `{}`", printable(&name))))
    }
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
