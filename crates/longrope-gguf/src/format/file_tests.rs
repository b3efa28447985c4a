use super::*;
use crate::{Planned, Writer};

fn sample() -> Vec<u8> {
    let metadata = [
        ("general.architecture".to_owned(), Value::from("llama")),
        ("a.number".to_owned(), Value::U32(7)),
        (
            "a.list".to_owned(),
            Value::Array(vec![Value::I32(-1), Value::I32(2)]),
        ),
        ("a.truth".to_owned(), Value::Bool(true)),
        ("an.empty.list".to_owned(), Value::Array(Vec::new())),
    ];
    let tensor = |name: &str, shape: Vec<u64>| Planned {
        name: name.to_owned(),
        shape,
        ty: TensorType::F32,
    };
    let tensors = [tensor("x", vec![2, 3]), tensor("y", vec![1])];
    let mut writer = Writer::new(Vec::new(), &metadata, &tensors).unwrap();
    for i in 0..7_u8 {
        writer.write(&f32::from(i).to_le_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

fn open(bytes: &[u8]) -> Result<GgufFile> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    fs_err::write(&path, bytes).unwrap();
    let file = GgufFile::open(&path)?;
    for name in file.tensors().keys() {
        file.read(name)?;
    }
    Ok(file)
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    fs_err::write(&path, sample()).unwrap();
    let file = GgufFile::open(&path).unwrap();
    assert_eq!(file.get("a.number"), Some(&Value::U32(7)));
    assert_eq!(file.metadata().len(), 5);
    assert_eq!(file.tensors()["x"].shape, [2, 3]);
    assert_eq!(file.read("x").unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(file.read("y").unwrap(), [6.0]);
    assert_eq!(file.tensors()["y"].offset % 32, 0);
    assert!(matches!(file.read("z"), Err(Error::Model { .. })));
}

#[test]
fn the_header_has_these_bytes() {
    let metadata = [("k".to_owned(), Value::U32(5))];
    let tensor = Planned {
        name: "t".to_owned(),
        shape: vec![1, 2],
        ty: TensorType::F16,
    };
    let mut writer = Writer::new(Vec::new(), &metadata, &[tensor]).unwrap();
    writer.write(&[1, 2, 3, 4]).unwrap();
    let bytes = writer.finish().unwrap();
    let mut expected = b"GGUF\x03\0\0\0".to_vec();
    expected.extend([1_u64, 1].iter().flat_map(|n| n.to_le_bytes()));
    expected.extend(b"\x01\0\0\0\0\0\0\0k\x04\0\0\0\x05\0\0\0");
    expected.extend(b"\x01\0\0\0\0\0\0\0t\x02\0\0\0");
    // The length of a row comes first.
    expected.extend([2_u64, 1].iter().flat_map(|n| n.to_le_bytes()));
    expected.extend(b"\x01\0\0\0\0\0\0\0\0\0\0\0");
    expected.resize(expected.len().next_multiple_of(32), 0);
    expected.extend([1, 2, 3, 4]);
    expected.resize(expected.len().next_multiple_of(32), 0);
    assert_eq!(bytes, expected);
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = sample();
    // The last 28 bytes are padding.
    for len in 0..bytes.len() - 28 {
        let error = open(&bytes[..len]).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Truncated { .. } | Error::NotGguf { .. } | Error::Empty { .. }
            ),
            "{len}: {error}"
        );
    }
    assert!(open(&bytes[..bytes.len() - 28]).is_ok());
}

#[test]
fn no_changed_byte_panics_or_allocates_without_bounds() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for value in [0, 1, 9, 0x7f, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let _ = open(&changed);
        }
    }
}

#[test]
fn damage_says_what_is_wrong() {
    let bytes = sample();
    let changed = |at: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[at] = value;
        open(&changed).unwrap_err().to_string()
    };
    assert!(changed(0, b'X').contains("it begins with \"XGUF\", expected \"GGUF\""));
    assert!(changed(4, 1).contains("version 1 of GGUF, expected 2 or 3"));
    // The length of the first key.
    assert!(changed(31, 0xff).contains("bytes is announced where"));
    // The type of the first value.
    let first_type = 24 + 8 + "general.architecture".len();
    assert!(changed(first_type, 99).contains("a value has type 99"));
}

/// A file with one key whose value is a list of bytes of this announced length, and this many bytes after it.
fn with_list(announced: u64, n_bytes: usize) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend([0_u64, 1, 1].iter().flat_map(|n| n.to_le_bytes()));
    bytes.push(b'k');
    bytes.extend([9_u32, 0].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend(announced.to_le_bytes());
    bytes.resize(bytes.len() + n_bytes, 0);
    bytes
}

#[test]
fn lists_are_bounded_by_the_file_and_by_memory() {
    assert!(open(&with_list(100, 100)).is_ok());
    let message = open(&with_list(1 << 40, 100)).unwrap_err().to_string();
    assert!(
        message.ends_with("a list of 1099511627776 values is announced where 100 bytes are left"),
        "{message}"
    );
    let many: usize = (1 << 23) + 1;
    let error = open(&with_list(many as u64, many)).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("expected at most 8388608"));
}

#[test]
fn numbers_of_keys_and_tensors_are_bounded() {
    let mut bytes = sample();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let message = open(&bytes).unwrap_err().to_string();
    assert!(
        message.contains("tensors, expected at most 262144"),
        "{message}"
    );
    let mut bytes = sample();
    bytes[16..24].copy_from_slice(&(1_u64 << 17).to_le_bytes());
    let message = open(&bytes).unwrap_err().to_string();
    assert!(
        message.contains("131072 keys, expected at most 65536"),
        "{message}"
    );
}

#[test]
fn an_empty_file_is_called_empty() {
    let message = open(b"").unwrap_err().to_string();
    assert!(
        message.ends_with("is empty, expected a GGUF file"),
        "{message}"
    );
}

#[test]
fn a_type_that_is_not_read_is_named() {
    let metadata = [("k".to_owned(), Value::U32(5))];
    let tensor = Planned {
        name: "t".to_owned(),
        shape: vec![1],
        ty: TensorType::F32,
    };
    let mut writer = Writer::new(Vec::new(), &metadata, &[tensor]).unwrap();
    writer.write(&[0; 4]).unwrap();
    let mut bytes = writer.finish().unwrap();
    // After the key (24 + 9 + 4 + 4) and the name, the number of dimensions and the dimension of the tensor.
    let at = 24 + 17 + 9 + 4 + 8;
    bytes[at..at + 4].copy_from_slice(&20_u32.to_le_bytes());
    let message = open(&bytes).unwrap_err().to_string();
    assert!(
        message.contains("has type IQ4_NL, expected one of F32, F16, BF16, Q8_0"),
        "{message}"
    );
}

#[test]
fn tensors_must_be_complete() {
    let tensor = Planned {
        name: "t".to_owned(),
        shape: vec![2],
        ty: TensorType::F16,
    };
    let writer = || Writer::new(Vec::new(), &[], std::slice::from_ref(&tensor)).unwrap();
    assert!(writer().finish().is_err());
    assert!(writer().write(&[0; 5]).is_err());
    let uneven = Planned {
        ty: TensorType::Q8_0,
        ..tensor.clone()
    };
    assert!(Writer::new(Vec::new(), &[], &[uneven]).is_err());
}

#[test]
fn tensors_that_overlap_are_damage() {
    let mut bytes = sample();
    let row = b"\x01\0\0\0\0\0\0\0y";
    let at = bytes.windows(9).position(|found| found == row).unwrap();
    // After the name, the number of dimensions, the dimension and the type.
    let at = at + 9 + 4 + 8 + 4;
    assert_eq!(bytes[at], 32);
    bytes[at] = 0;
    let message = open(&bytes).unwrap_err().to_string();
    assert!(
        message.ends_with("is damaged: tensor `y` begins within tensor `x`"),
        "{message}"
    );
}
