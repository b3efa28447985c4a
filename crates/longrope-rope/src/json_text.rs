//! Indented JSON that is easy to read: every list of numbers is on one line.

use std::fmt::Write;

use serde_json::Value;

/// `value` as indented JSON with a newline at the end.
pub(crate) fn to_text(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value, 0);
    text.push('\n');
    text
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            if items.iter().all(Value::is_number) {
                let items: Vec<String> = items.iter().map(Value::to_string).collect();
                text.push('[');
                text.push_str(&items.join(", "));
                text.push(']');
            } else {
                write_block(text, depth, ('[', ']'), items, |text, item| {
                    write_value(text, item, depth + 1);
                });
            }
        }
        Value::Object(entries) if !entries.is_empty() => {
            write_block(text, depth, ('{', '}'), entries, |text, (key, item)| {
                let key = Value::from(key.as_str());
                // Writing to a `String` cannot fail.
                let _ = write!(text, "{key}: ");
                write_value(text, item, depth + 1);
            });
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

fn write_block<T>(
    text: &mut String,
    depth: usize,
    (open, close): (char, char),
    items: impl IntoIterator<Item = T>,
    mut write_item: impl FnMut(&mut String, T),
) {
    text.push(open);
    for (index, item) in items.into_iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&"  ".repeat(depth + 1));
        write_item(text, item);
    }
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
    text.push(close);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_numbers_stay_on_one_line() {
        let value = json!({"a": [1.0, 2.5], "b": [{"c": []}, "d\""], "e": {}});
        let expected = "{\n  \"a\": [1.0, 2.5],\n  \"b\": [\n    {\n      \"c\": []\n    },\n    \"d\\\"\"\n  ],\n  \"e\": {}\n}\n";
        assert_eq!(to_text(&value), expected);
        assert_eq!(serde_json::from_str::<Value>(expected).unwrap(), value);
    }
}
