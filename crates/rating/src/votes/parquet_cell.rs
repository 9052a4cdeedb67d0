//! What does a value of a Parquet column say as text? The types in which votes are written.

use super::parts::Unit;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;
use std::borrow::Cow;

/// What the stored values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As stored: text, truth values and numbers.
    Plain,
    /// Whole numbers that are not negative.
    Unsigned,
    /// Whole numbers of which so many digits are behind the point.
    Decimal(u32),
    /// Since 1970-01-01.
    Time(Unit),
    /// Sixteen bytes.
    Uuid,
}

impl Kind {
    /// Nothing where the type is none that names, outcomes, dates or amounts are written in.
    pub(super) fn of(column: &ColumnDescriptor) -> Option<Kind> {
        let unit = |unit: &TimeUnit| match unit {
            TimeUnit::MILLIS => Unit::Milliseconds,
            TimeUnit::MICROS => Unit::Microseconds,
            TimeUnit::NANOS => Unit::Nanoseconds,
        };
        let whole = matches!(column.physical_type(), Type::INT32 | Type::INT64);
        let logical = match column.logical_type_ref() {
            Some(LogicalType::Timestamp(time)) => Some(Kind::Time(unit(&time.unit))),
            Some(LogicalType::Date) => Some(Kind::Time(Unit::Days)),
            Some(LogicalType::Integer(integer)) if !integer.is_signed => Some(Kind::Unsigned),
            Some(LogicalType::Decimal(decimal)) => Some(Kind::Decimal(u32::try_from(decimal.scale).ok()?)),
            Some(LogicalType::Uuid) => Some(Kind::Uuid),
            Some(
                LogicalType::String
                | LogicalType::Enum
                | LogicalType::Json
                | LogicalType::Integer(_)
                | LogicalType::Unknown,
            ) => Some(Kind::Plain),
            Some(_) => return None,
            None => None,
        };
        let kind = logical.or_else(|| match column.converted_type() {
            ConvertedType::TIMESTAMP_MILLIS => Some(Kind::Time(Unit::Milliseconds)),
            ConvertedType::TIMESTAMP_MICROS => Some(Kind::Time(Unit::Microseconds)),
            ConvertedType::DATE => Some(Kind::Time(Unit::Days)),
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Some(Kind::Unsigned),
            ConvertedType::DECIMAL => Some(Kind::Decimal(u32::try_from(column.type_scale()).ok()?)),
            ConvertedType::NONE
            | ConvertedType::UTF8
            | ConvertedType::ENUM
            | ConvertedType::JSON
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64 => Some(Kind::Plain),
            _ => None,
        })?;
        match (kind, column.physical_type()) {
            (Kind::Plain, Type::INT96) => Some(Kind::Time(Unit::Nanoseconds)),
            (Kind::Plain, Type::FIXED_LEN_BYTE_ARRAY) => None,
            (Kind::Plain, _) => Some(kind),
            (Kind::Uuid, Type::FIXED_LEN_BYTE_ARRAY) => Some(kind),
            (Kind::Decimal(scale), _) => (whole && scale <= 18).then_some(kind),
            _ => whole.then_some(kind),
        }
    }
}

/// The values of a batch, without the places that have none.
pub(super) enum Values {
    Truth(Vec<bool>),
    Four(Vec<i32>),
    Eight(Vec<i64>),
    Twelve(Vec<Int96>),
    Single(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl Values {
    /// At most `rows` rows, and how many there were.
    pub(super) fn read(
        reader: &mut ColumnReader,
        rows: usize,
        levels: &mut Vec<i16>,
    ) -> Result<(Values, usize), ParquetError> {
        Ok(match reader {
            ColumnReader::BoolColumnReader(r) => wrap(Values::Truth, fill(r, rows, levels)?),
            ColumnReader::Int32ColumnReader(r) => wrap(Values::Four, fill(r, rows, levels)?),
            ColumnReader::Int64ColumnReader(r) => wrap(Values::Eight, fill(r, rows, levels)?),
            ColumnReader::Int96ColumnReader(r) => wrap(Values::Twelve, fill(r, rows, levels)?),
            ColumnReader::FloatColumnReader(r) => wrap(Values::Single, fill(r, rows, levels)?),
            ColumnReader::DoubleColumnReader(r) => wrap(Values::Double, fill(r, rows, levels)?),
            ColumnReader::ByteArrayColumnReader(r) => wrap(Values::Bytes, fill(r, rows, levels)?),
            ColumnReader::FixedLenByteArrayColumnReader(r) => wrap(Values::Fixed, fill(r, rows, levels)?),
        })
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Values::Truth(v) => v.len(),
            Values::Four(v) => v.len(),
            Values::Eight(v) => v.len(),
            Values::Twelve(v) => v.len(),
            Values::Single(v) => v.len(),
            Values::Double(v) => v.len(),
            Values::Bytes(v) => v.len(),
            Values::Fixed(v) => v.len(),
        }
    }

    /// One value as text, times by `time`; nothing where it is no text.
    pub(super) fn text(
        &self,
        at: usize,
        kind: Kind,
        time: impl Fn(i64, Unit) -> String,
    ) -> Option<Cow<'_, str>> {
        let whole = |value: i64, unsigned: String| match kind {
            Kind::Unsigned => unsigned,
            Kind::Decimal(scale) => decimal(value, scale),
            Kind::Time(unit) => time(value, unit),
            Kind::Plain | Kind::Uuid => value.to_string(),
        };
        Some(match self {
            Values::Truth(v) => Cow::Borrowed(if v[at] { "true" } else { "false" }),
            Values::Four(v) => whole(i64::from(v[at]), v[at].cast_unsigned().to_string()).into(),
            Values::Eight(v) => whole(v[at], v[at].cast_unsigned().to_string()).into(),
            Values::Twelve(v) => time(v[at].to_nanos(), Unit::Nanoseconds).into(),
            Values::Single(v) => v[at].to_string().into(),
            Values::Double(v) => v[at].to_string().into(),
            Values::Bytes(v) => Cow::Borrowed(std::str::from_utf8(v[at].data()).ok()?),
            Values::Fixed(v) => v[at].data().iter().map(|b| format!("{b:02x}")).collect::<String>().into(),
        })
    }
}

fn wrap<T>(values: impl Fn(Vec<T>) -> Values, (list, rows): (Vec<T>, usize)) -> (Values, usize) {
    (values(list), rows)
}

fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    levels: &mut Vec<i16>,
) -> Result<(Vec<T::T>, usize), ParquetError> {
    let mut values = Vec::new();
    let mut all = 0;
    // One call may stop at the end of a page.
    while all < rows {
        let (more, _, _) = reader.read_records(rows - all, Some(levels), None, &mut values)?;
        if more == 0 {
            break;
        }
        all += more;
    }
    Ok((values, all))
}

/// A whole number with `scale` of its digits behind the point.
fn decimal(value: i64, scale: u32) -> String {
    let unit = 10u64.pow(scale);
    let (whole, rest) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    let sign = if value < 0 { "-" } else { "" };
    match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{rest:0width$}", width = scale as usize),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn decimals_keep_their_digits() {
        for (value, scale, text) in
            [(-5, 1, "-0.5"), (1234, 2, "12.34"), (7, 0, "7"), (i64::MIN, 18, "-9.223372036854775808")]
        {
            assert_eq!(super::decimal(value, scale), text);
        }
    }
}
