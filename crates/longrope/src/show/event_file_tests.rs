use super::*;

/// The fields of a message: number, and the value as bytes.
fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !data.is_empty() {
        let key = read_varint(&mut data);
        let n = match key & 7 {
            FIXED_64 => 8,
            FIXED_32 => 4,
            DELIMITED => usize::try_from(read_varint(&mut data)).unwrap(),
            _ => {
                let value = read_varint(&mut data);
                fields.push((key >> 3, value.to_le_bytes().to_vec()));
                continue;
            }
        };
        let (value, rest) = data.split_at(n);
        fields.push((key >> 3, value.to_vec()));
        data = rest;
    }
    fields
}

fn read_varint(data: &mut &[u8]) -> u64 {
    let mut value = 0;
    for (i, byte) in data.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *data = &data[i + 1..];
            return value;
        }
    }
    panic!("a varint is cut off");
}

/// The data of all records, after checking lengths and checksums.
fn records(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !file.is_empty() {
        let (length, rest) = file.split_at(8);
        let n = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
        assert_eq!(rest[..4], checksum(length).to_le_bytes());
        let data = &rest[4..4 + n];
        assert_eq!(rest[4 + n..8 + n], checksum(data).to_le_bytes());
        records.push(data.to_vec());
        file = &rest[8 + n..];
    }
    records
}

#[test]
fn checksums_are_castagnolis() {
    // RFC 3720, B.4: 32 bytes of zeros, of ones, and ascending.
    assert_eq!(crc_32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc_32c(&[0xff; 32]), 0x62a8_ab43);
    let ascending: Vec<u8> = (0..32).collect();
    assert_eq!(crc_32c(&ascending), 0x46dd_794e);
}

#[test]
fn points_are_read_back() {
    let scalar = |tag: &str, step, value| Scalar {
        tag: tag.to_owned(),
        step,
        wall_time: 1.5e9,
        value,
    };
    let written = [
        scalar("train/loss", 1, 4.5),
        scalar("train/loss", 300, f64::NAN),
        scalar("eval/loss", 300, -0.25),
    ];
    let records = records(&event_file(&written));
    let version = fields(&records[0]);
    assert_eq!(version[1], (3, VERSION.as_bytes().to_vec()));
    let read: Vec<Scalar> = records[1..]
        .iter()
        .map(|record| {
            let event = fields(record);
            let summary = fields(&event[2].1);
            let value = fields(&summary[0].1);
            assert_eq!((event[2].0, summary[0].0), (5, 1));
            let step = u64::from_le_bytes(event[1].1.clone().try_into().unwrap());
            Scalar {
                tag: String::from_utf8(value[0].1.clone()).unwrap(),
                step: usize::try_from(step).unwrap(),
                wall_time: f64::from_le_bytes(event[0].1.clone().try_into().unwrap()),
                value: f32::from_le_bytes(value[1].1.clone().try_into().unwrap()).into(),
            }
        })
        .collect();
    assert_eq!(read, [written[0].clone(), written[2].clone()]);
}
