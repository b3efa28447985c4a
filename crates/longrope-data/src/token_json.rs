//! Parses JSON of token ids with four bytes of memory per id.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::reading::jsonl::kind_of;

/// A JSON value.
pub(crate) enum Element {
    /// A number that may be a token id.
    Id(u32),
    /// A list.
    List(List),
    /// An object, with the value of its key `tokens`.
    Object(Option<Box<Element>>),
    /// Anything else, as it is named in messages.
    Other(String),
}

/// A list: ids up to the first element that is none, and everything from there on.
#[derive(Default)]
pub(crate) struct List {
    pub(crate) ids: Vec<u32>,
    pub(crate) rest: Vec<Element>,
}

impl Element {
    /// The value, or its kind, for messages.
    pub(crate) fn found(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::List(_) => "an array".to_owned(),
            Self::Object(_) => "an object".to_owned(),
            Self::Other(found) => found.clone(),
        }
    }

    /// The kind of value, for messages.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Other(found) if found.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                "a number".to_owned()
            }
            Self::Id(_) => "a number".to_owned(),
            other => other.found(),
        }
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("token ids")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Element, E> {
        Ok(match u32::try_from(number) {
            Ok(id) => Element::Id(id),
            Err(_) => Element::Other(number.to_string()),
        })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Element, E> {
        Ok(Element::Other(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Element, E> {
        Ok(Element::Other(Value::from(number).to_string()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Element, E> {
        Ok(Element::Other(kind_of(&Value::Bool(value)).to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Element, E> {
        Ok(Element::Other(kind_of(&Value::Null).to_owned()))
    }

    fn visit_str<E>(self, _text: &str) -> Result<Element, E> {
        Ok(Element::Other(
            kind_of(&Value::String(String::new())).to_owned(),
        ))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Element, A::Error> {
        let mut list = List::default();
        while let Some(item) = items.next_element()? {
            match item {
                Element::Id(id) if list.rest.is_empty() => list.ids.push(id),
                other => list.rest.push(other),
            }
        }
        // Lists stay in memory, and a vector that grows has room for twice as many.
        list.ids.shrink_to_fit();
        Ok(Element::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Element, A::Error> {
        let mut tokens = None;
        while let Some(key) = entries.next_key::<String>()? {
            if key == "tokens" {
                tokens = Some(entries.next_value()?);
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Element::Object(tokens))
    }
}
