//! The keys of a settings struct, taken from its derived `Deserialize`.

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// The names of the fields of a struct as its derived `Deserialize` accepts them, after `rename` and `rename_all`.
///
/// A program that keeps the keys of a search and its own keys in one table can split the table with it. The result is
/// empty for a type that is not deserialized as a struct with named fields.
///
/// ```
/// #[derive(serde::Deserialize)]
/// #[serde(rename_all = "kebab-case")]
/// struct Text {
///     path: String,
///     n_samples: usize,
/// }
///
/// assert_eq!(longrope_search::field_names::<Text>(), ["path", "n-samples"]);
/// ```
pub fn field_names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // Ends in an error in any case: there is nothing to deserialize.
    let _ = T::deserialize(FieldNames(&mut names));
    names
}

/// A deserializer without a value, which records the fields that a struct asks for.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("there is no value"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SearchConfig;

    #[test]
    fn a_key_is_listed_if_and_only_if_it_is_written() {
        let config = SearchConfig {
            critical_min: Some(1),
            critical_max: Some(2),
            patience: Some(3),
            ..SearchConfig::default()
        };
        let written = serde_json::to_value(&config).expect("plain data");
        let written = written.as_object().expect("a struct");
        let mut written: Vec<&str> = written.keys().map(String::as_str).collect();
        let mut listed = field_names::<SearchConfig>().to_vec();
        written.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, written);
        assert!(listed.contains(&"critical-min"));
    }

    #[test]
    fn other_types_have_no_fields() {
        assert!(field_names::<usize>().is_empty());
        assert!(field_names::<Vec<SearchConfig>>().is_empty());
    }
}
