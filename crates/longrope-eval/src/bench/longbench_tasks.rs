//! The tasks of `LongBench` v2, by their names in lm-evaluation-harness.

/// Name in lm-evaluation-harness 0.4.13, name of its data in `recursal/longbench-v2`, and domain and sub-domain in
/// `zai-org/LongBench-v2`. Sub-domains that occur once need no domain.
const TASKS: [(&str, &str, &str, &str); 20] = [
    ("academic_single", "academic_single", SINGLE, "Academic"),
    ("detective", "detective", "", "Detective"),
    ("event_order", "event_ordering", "", "Event ordering"),
    ("fin_single", "financial_single", SINGLE, "Financial"),
    ("govt_single", "government_single", SINGLE, "Governmental"),
    ("legal_single", "legal_single", SINGLE, "Legal"),
    ("lit_single", "literary", "", "Literary"),
    ("academic_multi", "academic_multi", MULTI, "Academic"),
    ("fin_multi", "financial_multi", MULTI, "Financial"),
    ("govt_multi", "government_multi", MULTI, "Governmental"),
    ("legal_multi", "legal_multi", MULTI, "Legal"),
    ("news_multi", "multinews", "", "Multi-news"),
    ("user_guide", "user_guide_qa", "", "User guide QA"),
    (
        "translate",
        "new_language_translation",
        "",
        "New language translation",
    ),
    ("many_shot", "manyshot_learning", "", "Many-shot learning"),
    ("agent_history", "agent_history_qa", "", "Agent history QA"),
    (
        "dialogue_history",
        "dialogue_history_qa",
        "",
        "Dialogue history QA",
    ),
    ("code", "code_repo_qa", "", "Code repo QA"),
    ("graph", "graph_reasoning", "", "Knowledge graph reasoning"),
    ("table", "table_qa", "", "Table QA"),
];

const SINGLE: &str = "Single-Document QA";
const MULTI: &str = "Multi-Document QA";

/// The subject of a question: the end of the name of its task in lm-evaluation-harness. A sub-domain that the harness has
/// no task for is its own subject.
pub(super) fn subject(domain: Option<&str>, sub_domain: &str) -> String {
    let own_domain = domain.unwrap_or_default();
    let is_task = |(_, data, domain, name): &&(&str, &str, &str, &str)| {
        sub_domain == *data
            || (sub_domain.eq_ignore_ascii_case(name)
                && (domain.is_empty() || own_domain.eq_ignore_ascii_case(domain)))
    };
    let known = TASKS.iter().find(is_task);
    known.map_or(sub_domain, |(task, ..)| task).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_domains_have_the_names_of_the_harness() {
        for (domain, sub_domain, expected) in [
            (Some(SINGLE), "Academic", "academic_single"),
            (Some(MULTI), "Academic", "academic_multi"),
            (None, "Academic", "Academic"),
            (
                Some("Long Structured Data Understanding"),
                "Knowledge graph reasoning",
                "graph",
            ),
            (None, "Detective", "detective"),
            (None, "government_single", "govt_single"),
            (None, "manyshot_learning", "many_shot"),
            (Some("Other"), "New kind", "New kind"),
        ] {
            assert_eq!(subject(domain, sub_domain), expected);
        }
    }
}
