//! Where the numbers of a page come from.

use maud::{Markup, html as markup};
use serde_json::Value;

use super::data::RunReport;
use super::parts::{Mark, table};
use crate::show::output;

/// The last section: versions and fingerprints.
pub(super) fn section(report: &RunReport) -> Markup {
    let mut rows = vec![vec![
        "report by".to_owned(),
        format!("longrope {}", report.tool_version),
    ]];
    for part in report.parts() {
        let name = if std::ptr::eq(part, report) {
            String::new()
        } else {
            format!("{}/", part.name())
        };
        if let Some(rope) = &part.rope {
            let facts = serde_json::to_value(&rope.provenance).unwrap_or_default();
            add(&mut rows, &format!("{name}rope.json"), &facts);
        }
        let search = part
            .search
            .as_ref()
            .and_then(|search| search.source.as_ref());
        if let Some(source) = search {
            let facts = serde_json::to_value(source).unwrap_or_default();
            add(&mut rows, &format!("{name}search/result.json"), &facts);
        }
        for training in &part.training {
            if let Some(source) = &training.source {
                add(&mut rows, &format!("{name}{}", training.name), source);
            }
        }
        for evaluation in &part.evaluations {
            let file = format!("{name}{}", evaluation.file);
            match serde_json::to_value(&evaluation.source) {
                Ok(Value::Null) | Err(_) => {
                    rows.push(vec![file, "does not say what was measured".to_owned()]);
                }
                Ok(source) => add(&mut rows, &file, &source),
            }
        }
    }
    markup! {
        section {
            h2 { "Provenance" }
            (table(&[], rows.into_iter().map(|row| (Mark::None, row))))
            p.note { "report.json has the same data." }
        }
    }
}

/// One row per fact.
fn add(rows: &mut Vec<Vec<String>>, name: &str, facts: &Value) {
    let Some(facts) = facts.as_object() else {
        return;
    };
    for (fact, value) in facts {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => continue,
            // Seeds are names, not amounts.
            Value::Number(number) if fact == "seed" => number.to_string(),
            Value::Number(number) => match number.as_u64().map(usize::try_from) {
                Some(Ok(count)) => output::grouped(count),
                _ => number
                    .as_f64()
                    .map_or_else(String::new, output::significant),
            },
            other => other.to_string(),
        };
        rows.push(vec![format!("{name}: {}", fact.replace('_', " ")), text]);
    }
}
