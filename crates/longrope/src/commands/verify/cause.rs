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
    let own = rope.attention_scale(context);
    for (longest, scale) in choices(rope, context) {
        let there = factors_at(rope, longest);
        let scaled = format!("an attention scale of {scale:.6} in place of {own:.6}");
        let has_own_scale = is_same(scale, own);
        let did = if there == here && has_own_scale {
            continue;
        } else if there == here && is_same(scale, 1.0) {
            "ignored the attention scale".to_owned()
        } else if there == here {
            format!("took {scaled}")
        } else if has_own_scale || is_same(scale, rope.attention_scale(longest)) {
            format!("took the {there} factors in place of the {here} ones")
        } else {
            format!("took the {there} factors in place of the {here} ones, and {scaled}")
        };
        if let Some(changed) = with_attention_scale(rope, scale) {
            suspect(changed.resolve(longest), did);
        }
    }
    if rope.scaling != (RopeScaling::None {}) {
        suspect(
            rope.plain().resolve(context),
            "took no factors at all, but plain RoPE".to_owned(),
        );
    }
    found
}

/// Contexts that stand for the factor sets, with the attention scales that a program may give each. The scales of other sets
/// come last.
fn choices(rope: &RopeSpec, context: usize) -> Vec<(usize, f64)> {
    let mut contexts = vec![context];
    if let RopeScaling::LongRope { sets, .. } = &rope.scaling {
        contexts.extend(sets.iter().map(|set| set.max_context));
    }
    let own = contexts.iter().map(|it| (*it, rope.attention_scale(*it)));
    let ignored = contexts.iter().map(|it| (*it, 1.0));
    let of_others = contexts.iter().flat_map(|it| {
        let scales = contexts.iter().map(|other| rope.attention_scale(*other));
        scales.map(|scale| (*it, scale))
    });
    let mut found: Vec<(usize, f64)> = Vec::new();
    for (longest, scale) in own.chain(ignored).chain(of_others) {
        let is_known = |(known, its): &(usize, f64)| {
            factors_at(rope, *known) == factors_at(rope, longest) && is_same(*its, scale)
        };
        if !found.iter().any(is_known) {
            found.push((longest, scale));
        }
    }
    found
}

fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

/// The same RoPE with another attention scale at every context; `None` if it can have none.
fn with_attention_scale(rope: &RopeSpec, value: f64) -> Option<RopeSpec> {
    let mut changed = rope.clone();
    let scale = AttentionScale::Constant { value };
    match &mut changed.scaling {
        RopeScaling::LongRope { sets, attention } => {
            *attention = scale;
            for set in sets {
                set.attention = None;
            }
        }
        RopeScaling::Yarn { attention, .. } => *attention = scale,
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
    if runtime == "llama.cpp" {
        return format!("{usual}; `longrope inspect {model}` shows the RoPE in the file");
    }
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
        let mut rope = RopeSpec::new(8, 10_000.0, 32, scaling).unwrap();
        let did = |rope: &RopeSpec, context| -> Vec<String> {
            let found = suspects(rope, context).into_iter();
            found.map(|suspect| suspect.did).collect()
        };
        assert_eq!(
            did(&rope, 64),
            [
                "took the short factors in place of the long ones",
                "ignored the attention scale",
                "took the short factors in place of the long ones, and an attention scale of 1.000000 in place of 1.183216",
                "took no factors at all, but plain RoPE"
            ]
        );
        assert!(did(&rope, 32)[0].contains("took the long factors"));
        assert!(suspects(&rope.plain(), 64).is_empty());
        // A short set without attention scale, which transformers takes from the long one.
        if let RopeScaling::LongRope { sets, .. } = &mut rope.scaling {
            sets[0].attention = Some(AttentionScale::None {});
        }
        assert_eq!(
            did(&rope, 32),
            [
                "took the long factors in place of the short ones",
                "took the long factors in place of the short ones",
                "took an attention scale of 1.183216 in place of 1.000000",
                "took no factors at all, but plain RoPE"
            ]
        );
    }
}
