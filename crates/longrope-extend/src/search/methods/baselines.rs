//! The methods that the winner of a search is compared with.

use longrope_rope::Method;
use longrope_search::TargetRope;

use super::measured::{CHECKPOINT, NamedSpec};
use crate::error::Result;

/// Methods that a search is compared with, beside the RoPE that the model has now.
const METHODS: [Method; 5] = [
    Method::None,
    Method::Pi,
    Method::Ntk,
    Method::DynamicNtk,
    Method::Yarn,
];

/// What a search is compared with: the methods for its target, and the model as it is.
pub(in crate::search) fn baseline_ropes(target: &TargetRope) -> Result<Vec<NamedSpec>> {
    let named = |method: Method| {
        let spec = method.spec(target.base(), target.target())?;
        Ok(NamedSpec::new(method.name(), spec))
    };
    let own = target.own().cloned();
    let own = own.map(|own| Ok(NamedSpec::new(CHECKPOINT, own)));
    METHODS.into_iter().map(named).chain(own).collect()
}
