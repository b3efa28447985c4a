//! What a runtime computes, with the reasons for what is peculiar to it.

use super::facts::Facts;
use super::section::Section;
use super::view::{Rules, Topic};

/// The consequence of a difference without a reason. Tests see to it that there are none.
pub(super) const UNEXPLAINED: &str = "we read the config differently";

/// All topics that concern angles.
pub(super) const ANGLES: &[Topic] = &[
    Topic::Theta,
    Topic::Factors,
    Topic::AttentionScale,
    Topic::Switch,
];

/// The rules of a runtime for a config, with reasons. A reason is shown if the runtime differs from us in its topic.
#[derive(Clone, Debug)]
pub(super) struct Computed {
    pub(super) rules: Rules,
    reasons: Vec<Reason>,
}

/// Why a runtime differs, without its name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Explanation {
    pub(super) what: String,
    pub(super) consequence: String,
}

#[derive(Clone, Debug)]
struct Reason {
    topics: Vec<Topic>,
    explanation: Explanation,
}

impl Computed {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            reasons: Vec::new(),
        }
    }

    /// Adds the reason for another theta, if it is not ours. It comes first: factors may differ because of it.
    #[must_use]
    pub(super) fn because_of_theta(mut self, facts: &Facts, what: impl Into<String>) -> Self {
        let (theirs, ours) = (self.rules.theta, facts.spec.theta);
        if (theirs - ours).abs() > 1e-9 * ours {
            let reason = Reason {
                topics: vec![Topic::Theta, Topic::Factors],
                explanation: Explanation {
                    what: what.into(),
                    consequence: "the model was not trained for these angles".to_owned(),
                },
            };
            self.reasons.insert(0, reason);
        }
        self
    }

    /// Adds a reason. Of several reasons for one topic the first is shown.
    #[must_use]
    pub(super) fn because(
        mut self,
        topics: &[Topic],
        what: impl Into<String>,
        consequence: impl Into<String>,
    ) -> Self {
        self.reasons.push(Reason {
            topics: topics.to_vec(),
            explanation: Explanation {
                what: what.into(),
                consequence: consequence.into(),
            },
        });
        self
    }

    /// Adds a reason if a condition holds.
    #[must_use]
    pub(super) fn because_if(
        self,
        condition: bool,
        topics: &[Topic],
        what: impl Into<String>,
        consequence: impl Into<String>,
    ) -> Self {
        if condition {
            self.because(topics, what, consequence)
        } else {
            self
        }
    }

    /// Adds the reason of a runtime that takes one of two contradictory statements.
    #[must_use]
    pub(super) fn having_chosen(
        self,
        facts: &Facts,
        section: Option<Section>,
        rope_type: &str,
    ) -> Self {
        let all = [ANGLES, &[Topic::DefaultContext]].concat();
        let name = section.map_or("neither section", |section| section.name);
        self.because_if(
            facts.sections_differ() && section.map(|s| s.name) != facts.section().map(|s| s.name),
            &all,
            format!("takes `{name}`, where transformers 5 takes the other section"),
            "the two sections contradict each other; keep one",
        )
        .because_if(
            section.and_then(Section::types_differ).is_some(),
            &all,
            format!("takes the type {rope_type:?}"),
            "`type` and `rope_type` contradict each other; keep one",
        )
    }

    /// Sets the context the runtime takes if nobody asks for another.
    #[must_use]
    pub(super) fn by_default(mut self, context: usize) -> Self {
        self.rules.default_context = Some(context);
        self
    }

    /// Why the runtime differs in a topic.
    pub(super) fn explain(&self, topic: Topic) -> Explanation {
        let found = self
            .reasons
            .iter()
            .find(|reason| reason.topics.contains(&topic));
        match found {
            Some(reason) => reason.explanation.clone(),
            None => Explanation {
                what: format!("computes {}", self.summary(topic)),
                consequence: UNEXPLAINED.to_owned(),
            },
        }
    }

    fn summary(&self, topic: Topic) -> String {
        let rows = || self.rules.factors.iter();
        match topic {
            Topic::Theta => format!("with theta {}", self.rules.theta),
            Topic::Factors => {
                let sets: Vec<String> = rows()
                    .map(|row| format!("{} {}..{}", row.name, row.first, row.last))
                    .collect();
                format!("with factors {}", sets.join(" and "))
            }
            Topic::AttentionScale => format!("with attention scale {}", scales(&self.rules)),
            Topic::Switch => format!("choosing {}", self.rules.switch),
            Topic::DefaultContext => format!("{:?} tokens by default", self.rules.default_context),
            Topic::Loading => "something else".to_owned(),
        }
    }
}

/// The attention scales of a runtime, for a message.
pub(super) fn scales(rules: &Rules) -> String {
    let mut texts: Vec<String> = rules
        .factors
        .iter()
        .map(|row| format!("{:.4}", row.attention_scale))
        .collect();
    texts.dedup();
    texts.join(" and ")
}
