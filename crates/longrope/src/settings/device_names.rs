//! The key `device`: one name or a list of names.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::failure::Hint;

/// Devices to compute on: one name or a list of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum DeviceNames {
    /// A single device.
    One(String),
    /// Several devices; a name that occurs twice starts two workers.
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for DeviceNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

/// Reads a name or a list. Its errors say what was found.
struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = DeviceNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a device, or a list of names")
    }

    fn visit_str<E>(self, name: &str) -> Result<DeviceNames, E> {
        Ok(DeviceNames::One(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<DeviceNames, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = items.next_element()? {
            names.push(name);
        }
        Ok(DeviceNames::Several(names))
    }
}

impl DeviceNames {
    /// All names.
    ///
    /// # Errors
    /// If there are none.
    pub(crate) fn names(&self) -> Result<&[String]> {
        let names = match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        };
        if names.is_empty() {
            return Err(anyhow!("the list of devices is empty")
                .context(Hint("--device flex works on every machine".to_owned())));
        }
        Ok(names)
    }

    /// The name, for verbs that compute on one device.
    ///
    /// # Errors
    /// If there are several.
    pub(crate) fn only(&self) -> Result<&str> {
        match self.names()? {
            [name] => Ok(name),
            names => Err(anyhow!(
                "{} devices are given, expected one: {}",
                names.len(),
                names.join(", ")
            )
            .context(Hint(
                "search, recover, compare, eval ppl, finetune, pretrain and demo use several devices; give one --device".to_owned(),
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_or_a_list() {
        let read = |text: &str| -> DeviceNames {
            let mut table: toml::Table = text.parse().unwrap();
            table.remove("device").unwrap().try_into().unwrap()
        };
        let one = read("device = 'flex'");
        assert_eq!(one.names().unwrap(), ["flex"]);
        assert_eq!(one.only().unwrap(), "flex");
        let several = read("device = ['flex', 'cuda:1']");
        assert_eq!(several.names().unwrap(), ["flex", "cuda:1"]);
        let error = several.only().unwrap_err().root_cause().to_string();
        assert_eq!(error, "2 devices are given, expected one: flex, cuda:1");
        assert!(read("device = []").names().is_err());
        let wrong: toml::Table = "device = 3".parse().unwrap();
        let error = wrong["device"].clone().try_into::<DeviceNames>();
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains("integer `3`, expected the name of a device, or a list of names"),
            "{message}"
        );
    }
}
