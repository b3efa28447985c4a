//! Reading a file: its header at once, its tensors on request.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::constants::{ALIGNMENT, ALIGNMENT_KEY, MAGIC};
use super::cursor::Cursor;
use super::dequantize::dequantize;
use super::tensor_type::TensorType;
use super::value::{Metadata, Value};
use crate::error::{Error, Result};

/// Most dimensions of a tensor.
const MAX_DIMS: u32 = 4;
/// Most tensors of a file. Those of models have a few thousand.
const MAX_TENSORS: u64 = 1 << 18;
/// Most keys of a file. Those of models have less than a hundred.
const MAX_KEYS: u64 = 1 << 16;

/// Where a tensor is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// Its shape, rows first.
    pub shape: Vec<u64>,
    /// The number of its type, which may be one that is not read.
    pub type_id: u32,
    /// Its first byte in the file.
    pub offset: u64,
    /// Its size in bytes; `None` if its type is unknown.
    pub n_bytes: Option<u64>,
}

/// A file whose header has been read.
#[derive(Clone, Debug)]
pub struct GgufFile {
    path: PathBuf,
    metadata: Metadata,
    tensors: BTreeMap<String, StoredTensor>,
}

impl GgufFile {
    /// Reads metadata and the table of tensors, and checks that the file is as long as they say, and that no tensors overlap.
    ///
    /// # Errors
    /// [`Error::NotGguf`], [`Error::Version`], [`Error::Truncated`] and [`Error::Damaged`].
    pub fn open(path: &Path) -> Result<Self> {
        let mut cursor = Cursor::open(path)?;
        let mut magic = [0; 4];
        if cursor.len() >= 4 {
            magic = cursor.take("its first bytes")?;
        }
        if cursor.len() == 0 {
            return Err(Error::Empty {
                path: path.to_owned(),
            });
        }
        if magic != MAGIC {
            return Err(Error::NotGguf {
                path: path.to_owned(),
                found: magic.escape_ascii().to_string(),
            });
        }
        let version = cursor.u32("its version")?;
        if !(2..=3).contains(&version) {
            return Err(Error::Version {
                path: path.to_owned(),
                found: version,
            });
        }
        let n_tensors = cursor.u64("the number of tensors")?;
        let n_keys = cursor.u64("the number of keys")?;
        for (what, found, most) in [
            ("tensors", n_tensors, MAX_TENSORS),
            ("keys", n_keys, MAX_KEYS),
        ] {
            if found > most {
                let problem = format!("it announces {found} {what}, expected at most {most}");
                return Err(Error::damaged(path, problem));
            }
        }
        let metadata = read_metadata(&mut cursor, n_keys)?;
        let table = read_table(&mut cursor, n_tensors)?;
        let alignment = alignment(path, &metadata)?;
        let data = cursor.position()?.next_multiple_of(alignment);
        let tensors = place(&cursor, table, data, alignment)?;
        check_apart(path, &tensors)?;
        Ok(Self {
            path: path.to_owned(),
            metadata,
            tensors,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keys and values, in file order.
    pub fn metadata(&self) -> &[(String, Value)] {
        &self.metadata
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut entries = self.metadata.iter();
        entries.find(|(name, _)| name == key).map(|(_, it)| it)
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.tensors
    }

    /// The numbers of a tensor, row after row.
    ///
    /// # Errors
    /// Those of [`read_bytes`](Self::read_bytes), and [`Error::TensorType`] if its type is not read.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let bytes = self.read_bytes(name)?;
        let ty = TensorType::from_id(self.stored(name)?.type_id);
        match ty {
            Some(ty) => Ok(dequantize(ty, &bytes)),
            None => Err(self.unknown_type(name)?),
        }
    }

    /// The bytes of a tensor.
    ///
    /// # Errors
    /// [`Error::Model`] without such a tensor, [`Error::TensorType`] if its type is unknown, and [`Error::Truncated`] if the
    /// file was cut off since it was opened.
    pub fn read_bytes(&self, name: &str) -> Result<Vec<u8>> {
        let stored = self.stored(name)?;
        let Some(n_bytes) = stored.n_bytes else {
            return Err(self.unknown_type(name)?);
        };
        let mut file = fs_err::File::open(&self.path)?;
        file.seek(SeekFrom::Start(stored.offset))?;
        let mut bytes = Vec::new();
        file.take(n_bytes).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != n_bytes {
            let problem = format!("it ends within tensor `{name}`");
            return Err(Error::truncated(&self.path, problem));
        }
        Ok(bytes)
    }

    fn stored(&self, name: &str) -> Result<&StoredTensor> {
        self.tensors.get(name).ok_or_else(|| Error::Model {
            path: self.path.clone(),
            problem: format!("it has no tensor `{name}`"),
        })
    }

    fn unknown_type(&self, name: &str) -> Result<Error> {
        Ok(Error::TensorType {
            path: self.path.clone(),
            tensor: name.to_owned(),
            found: TensorType::describe(self.stored(name)?.type_id),
        })
    }
}

fn read_metadata(cursor: &mut Cursor, n_keys: u64) -> Result<Metadata> {
    let mut metadata = Metadata::new();
    let mut names = HashSet::new();
    for _ in 0..n_keys {
        let key = cursor.string("a key")?;
        let value = Value::read(cursor)?;
        if !names.insert(key.clone()) {
            let problem = format!("key `{key}` occurs twice");
            return Err(Error::damaged(cursor.path(), problem));
        }
        metadata.push((key, value));
    }
    Ok(metadata)
}

/// A row of the table of tensors: name, shape, type and offset in the data.
type Row = (String, Vec<u64>, u32, u64);

fn read_table(cursor: &mut Cursor, n_tensors: u64) -> Result<Vec<Row>> {
    let mut table = Vec::new();
    for _ in 0..n_tensors {
        let name = cursor.string("the name of a tensor")?;
        let n_dims = cursor.u32("the shape of a tensor")?;
        if n_dims > MAX_DIMS {
            let problem =
                format!("tensor `{name}` has {n_dims} dimensions, expected at most {MAX_DIMS}");
            return Err(Error::damaged(cursor.path(), problem));
        }
        let mut shape = Vec::new();
        for _ in 0..n_dims {
            shape.push(cursor.u64("the shape of a tensor")?);
        }
        // Files hold the length of a row first.
        shape.reverse();
        let type_id = cursor.u32("the type of a tensor")?;
        let offset = cursor.u64("the offset of a tensor")?;
        table.push((name, shape, type_id, offset));
    }
    Ok(table)
}

fn alignment(path: &Path, metadata: &[(String, Value)]) -> Result<u64> {
    let Some((_, value)) = metadata.iter().find(|(key, _)| key == ALIGNMENT_KEY) else {
        return Ok(ALIGNMENT);
    };
    let fits = |n: &u64| n.is_power_of_two() && (8..=1 << 20).contains(n);
    value.as_u64().filter(fits).ok_or_else(|| Error::Key {
        path: path.to_owned(),
        key: ALIGNMENT_KEY.to_owned(),
        found: format!("{value:?}"),
        expected: "a power of two from 8 to 1048576",
    })
}

/// Checks every row of the table against the file.
fn place(
    cursor: &Cursor,
    table: Vec<Row>,
    data: u64,
    alignment: u64,
) -> Result<BTreeMap<String, StoredTensor>> {
    let mut tensors = BTreeMap::new();
    for (name, shape, type_id, offset) in table {
        let wrong = |problem: String| Error::damaged(cursor.path(), problem);
        if !offset.is_multiple_of(alignment) {
            return Err(wrong(format!(
                "tensor `{name}` begins at {offset}, expected a multiple of {alignment}"
            )));
        }
        let n_bytes = match TensorType::from_id(type_id) {
            None => None,
            Some(ty) => Some(ty.n_bytes(&shape).ok_or_else(|| {
                wrong(format!(
                    "tensor `{name}` of shape {shape:?} cannot be stored as {ty}"
                ))
            })?),
        };
        let begin = data.checked_add(offset);
        let end = begin.and_then(|begin| begin.checked_add(n_bytes.unwrap_or(0)));
        let (Some(begin), Some(end)) = (begin, end) else {
            return Err(wrong(format!("tensor `{name}` begins at {offset}")));
        };
        if end > cursor.len() {
            let problem = format!(
                "tensor `{name}` ends at byte {end}, but the file has {}",
                cursor.len()
            );
            return Err(Error::truncated(cursor.path(), problem));
        }
        let stored = StoredTensor {
            shape,
            type_id,
            offset: begin,
            n_bytes,
        };
        if tensors.insert(name.clone(), stored).is_some() {
            return Err(wrong(format!("tensor `{name}` occurs twice")));
        }
    }
    Ok(tensors)
}

/// Checks that no tensor begins before another one ends. Where the size of a tensor is not known, its end is not.
fn check_apart(path: &Path, tensors: &BTreeMap<String, StoredTensor>) -> Result<()> {
    let end_of = |tensor: &StoredTensor| tensor.offset + tensor.n_bytes.unwrap_or(0);
    // Tensors without numbers take no place.
    let has_numbers = |(_, tensor): &(&String, &StoredTensor)| tensor.n_bytes != Some(0);
    let mut placed: Vec<(&String, &StoredTensor)> = tensors.iter().filter(has_numbers).collect();
    placed.sort_by_key(|(_, tensor)| tensor.offset);
    let mut pairs = placed.windows(2);
    let overlap = pairs.find_map(|pair| match pair {
        [(first, before), (second, after)] if end_of(before) > after.offset => {
            Some((*first, *second))
        }
        _ => None,
    });
    match overlap {
        None => Ok(()),
        Some((first, second)) => Err(Error::damaged(
            path,
            format!("tensor `{second}` begins within tensor `{first}`"),
        )),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
