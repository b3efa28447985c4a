//! Why a program departs: RoPEs that would give its losses.

use longrope_rope::{AttentionScale, ResolvedRope, RopeScaling, RopeSpec};

use super::sequences::factors_at;

/// A RoPE that the program may have used instead.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub(super) rope: ResolvedRope,
    /// What the program did if this is the RoPE; a clause that begins with a verb.
    pub(super) did: String,
}

/// The usual faults, for a sequence in a context of this number of tokens.
pub(super) fn suspects(rope: &RopeSpec, context: usize) -> Vec<Suspect> {
    let mut found = Vec::new();
    let mut suspect = |rope: ResolvedRope, did: String| found.push(Suspect { rope, did });
    let here = factors_at(rope, context);
    if let RopeScaling::LongRope { sets, .. } = &rope.scaling {
        for set in sets {
            let there = factors_at(rope, set.max_context);
            if there != here {
                suspect(
                    rope.resolve(set.max_context),
                    format!("took the {there} factors in place of the {here} ones"),
                );
            }
        }
    }
    if let Some(scale_ignored) = without_attention_scale(rope) {
        suspect(
            scale_ignored.resolve(context),
            "ignored the attention scale".to_owned(),
        );
    }
    if rope.scaling != (RopeScaling::None {}) {
        suspect(
            rope.plain().resolve(context),
            "took no factors at all, but plain RoPE".to_owned(),
        );
    }
    found
}

/// The same RoPE with an attention scale of 1.
fn without_attention_scale(rope: &RopeSpec) -> Option<RopeSpec> {
    let mut changed = rope.clone();
    match &mut changed.scaling {
        RopeScaling::LongRope { sets, attention } => {
            *attention = AttentionScale::None {};
            for set in sets {
                set.attention = None;
            }
        }
        RopeScaling::Yarn { attention, .. } => *attention = AttentionScale::None {},
        _ => return None,
    }
    Some(changed)
}

/// What to look at if no suspect explains the losses.
pub(super) fn unexplained(model: &str, runtime: &str, departs: &[bool]) -> String {
    let usual = if departs.iter().all(|departs| *departs) {
        "no usual fault explains it; look for factors or weights that were lost or altered, or for another version of the model's \
         class"
    } else {
        "no usual fault explains it; some sequences do agree, so look for factors of one set that were lost or altered"
    };
    format!("{usual}; `longrope doctor {model}` shows which RoPE {runtime} takes")
}

#[cfg(test)]
mod tests {
    use longrope_rope::{FactorSet, RescaleFactors};

    use super::*;

    #[test]
    fn usual_faults_of_a_model_with_two_sets() {
        let set = |max_context, factor| FactorSet {
            max_context,
            start_tokens: 0,
            factors: RescaleFactors::new(vec![factor; 4]).unwrap(),
            attention: None,
        };
        let scaling = RopeScaling::LongRope {
            sets: vec![set(32, 1.0), set(128, 3.0)],
            attention: AttentionScale::Su {},
        };
        let rope = RopeSpec::new(8, 10_000.0, 32, scaling).unwrap();
        let did = |context| -> Vec<String> {
            let found = suspects(&rope, context).into_iter();
            found.map(|suspect| suspect.did).collect()
        };
        assert_eq!(
            did(64),
            [
                "took the short factors in place of the long ones",
                "ignored the attention scale",
                "took no factors at all, but plain RoPE"
            ]
        );
        assert!(did(32)[0].contains("took the long factors"));
        assert!(suspects(&rope.plain(), 64).is_empty());
    }
}
