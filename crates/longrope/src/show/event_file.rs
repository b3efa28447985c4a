//! Event files, which `TensorBoard` reads.
//!
//! A file is a sequence of records (TFRecord): the length of the data as 64 bits, a checksum of these eight bytes, the
//! data, and a checksum of the data, all little-endian. A checksum is CRC-32C, rotated and moved by a constant. The data
//! of each record is an `Event` message of protocol buffers: `wall_time` (1, double), `step` (2, int64), and either
//! `file_version` (3, string) in the first record, or `summary` (5) with one `value` (1) per scalar, which has a `tag`
//! (1, string) and a `simple_value` (2, float). Sources: `tensorflow/core/lib/io/record_writer.h`,
//! `tensorflow/core/util/event.proto` and `tensorflow/core/framework/summary.proto`.

/// The version that the first record names.
const VERSION: &str = "brain.Event:2";

/// A point of a curve.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    /// Name of the curve; parts before a slash group curves.
    pub(crate) tag: String,
    pub(crate) step: usize,
    /// When it was measured, in seconds since 1970.
    pub(crate) wall_time: f64,
    pub(crate) value: f64,
}

/// The bytes of a file with these points. Values that are not finite are left out.
pub(crate) fn event_file(scalars: &[Scalar]) -> Vec<u8> {
    let begin = scalars.first().map_or(0.0, |scalar| scalar.wall_time);
    let mut file = Vec::new();
    let mut version = double(1, begin);
    version.extend(bytes(3, VERSION.as_bytes()));
    file.extend(record(&version));
    for scalar in scalars.iter().filter(|scalar| scalar.value.is_finite()) {
        file.extend(record(&event(scalar)));
    }
    file
}

/// The `Event` message of a point.
fn event(scalar: &Scalar) -> Vec<u8> {
    let mut value = bytes(1, scalar.tag.as_bytes());
    value.extend(key(2, FIXED_32));
    #[expect(clippy::cast_possible_truncation, reason = "the field is a float")]
    value.extend((scalar.value as f32).to_le_bytes());
    let mut event = double(1, scalar.wall_time);
    event.extend(key(2, VARINT));
    event.extend(varint(scalar.step as u64));
    event.extend(bytes(5, &bytes(1, &value)));
    event
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// Number and type of a field.
fn key(field: u64, wire_type: u64) -> Vec<u8> {
    varint(field << 3 | wire_type)
}

/// Seven bits per byte, lowest first; the top bit says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn double(field: u64, value: f64) -> Vec<u8> {
    let mut bytes = key(field, FIXED_64);
    bytes.extend(value.to_le_bytes());
    bytes
}

/// A field of bytes: a string or a message.
fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = key(field, DELIMITED);
    bytes.extend(varint(content.len() as u64));
    bytes.extend(content);
    bytes
}

/// A record of the file.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(checksum(&length).to_le_bytes());
    record.extend(data);
    record.extend(checksum(data).to_le_bytes());
    record
}

/// CRC-32C, rotated right by 15 bits, plus a constant: data that holds checksums itself gets other ones.
fn checksum(data: &[u8]) -> u32 {
    crc_32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The CRC of Castagnoli's polynomial, bit by bit: the files are small.
fn crc_32c(data: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let shifted = crc >> 1;
            if crc & 1 == 1 {
                shifted ^ POLYNOMIAL
            } else {
                shifted
            }
        })
    })
}

#[cfg(test)]
#[path = "event_file_tests.rs"]
mod tests;
