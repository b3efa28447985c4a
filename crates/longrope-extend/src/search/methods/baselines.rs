//! The methods that the winner of a search is compared with.

use longrope_rope::Method;
use longrope_search::TargetRope;

use super::measured::{CHECKPOINT, INIT, NamedSpec};
use crate::error::Result;

/// Methods that a search is compared with, beside the RoPE that the model has now and the one that ratios multiply.
const METHODS: [Method; 5] = [
    Method::None,
    Method::Pi,
    Method::Ntk,
    Method::DynamicNtk,
    Method::Yarn,
];

/// What a search is compared with: the methods for its target, the model as it is, and for ratios the RoPE that they
/// multiply.
pub(in crate::search) fn baseline_ropes(target: &TargetRope) -> Result<Vec<NamedSpec>> {
    let named = |method: Method| {
        let spec = method.spec(target.base(), target.target())?;
        Ok(NamedSpec::new(method.name(), spec))
    };
    let present = [(CHECKPOINT, target.own()), (INIT, target.known())];
    let present = present.into_iter().filter_map(|(name, spec)| {
        let spec = spec?.clone();
        Some(Ok(NamedSpec::new(name, spec)))
    });
    METHODS.into_iter().map(named).chain(present).collect()
}

#[cfg(test)]
mod tests {
    use longrope_rope::{AttentionScale, FactorSet, RescaleFactors, RopeScaling, RopeSpec};

    use super::*;

    #[test]
    fn ratios_are_compared_with_the_rope_that_they_multiply() {
        let set = FactorSet {
            max_context: 512,
            start_tokens: 0,
            factors: RescaleFactors::new(vec![1.0, 1.0, 2.0, 2.0]).unwrap(),
            attention: None,
        };
        let scaling = RopeScaling::LongRope {
            sets: vec![set.clone()],
            attention: AttentionScale::Su {},
        };
        let known = RopeSpec::new(8, 1e4, 256, scaling).unwrap();
        let names = |target: &TargetRope| -> Vec<String> {
            let ropes = baseline_ropes(target).unwrap();
            ropes.into_iter().map(|rope| rope.name).collect()
        };
        let ratios = TargetRope::ratios(&known, &set, 1024);
        let methods = ["none", "pi", "ntk", "dynamic-ntk", "yarn"];
        assert_eq!(names(&ratios), [&methods[..], &["init"]].concat());
        let last = baseline_ropes(&ratios).unwrap().pop().unwrap();
        assert_eq!(last.spec, known);
        let factors = TargetRope::factors(&known, 1024);
        assert_eq!(names(&factors), [&methods[..], &["checkpoint"]].concat());
    }
}
