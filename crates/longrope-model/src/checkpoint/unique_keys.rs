//! JSON objects whose keys must differ.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A JSON object; an object in which a key occurs twice does not parse.
///
/// JSON parsers usually keep the last value of a key that occurs twice. For a map of weights that would be a guess.
#[derive(Clone, Debug)]
pub(crate) struct UniqueKeys<V>(pub(crate) BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueKeys<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
    type Value = UniqueKeys<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = access.next_entry::<String, V>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` occurs twice")));
            }
            map.insert(key, value);
        }
        Ok(UniqueKeys(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_occurs_twice_is_an_error() {
        let UniqueKeys(map) =
            serde_json::from_str::<UniqueKeys<u32>>(r#"{"a": 1, "b": 2}"#).unwrap();
        assert_eq!(map["b"], 2);
        let error = serde_json::from_str::<UniqueKeys<u32>>(r#"{"a": 1, "a": 1}"#).unwrap_err();
        assert!(error.to_string().contains("`a` occurs twice"), "{error}");
        assert!(serde_json::from_str::<UniqueKeys<u32>>("[1]").is_err());
    }
}
