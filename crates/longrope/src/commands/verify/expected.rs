//! The RoPE that an export was made with, if the model no longer has it.

use std::path::Path;

use longrope_gguf::GgufFile;
use longrope_model::{ModelConfig, read_config_json};
use longrope_rope::{
    AttentionScale, FactorSet, ResolvedRope, RopeArtifact, RopeScaling, RopeSpec, read_hf_rope,
    write_hf_rope,
};

/// Relative difference up to which frequencies are the same: factors in a GGUF file are in f32.
const SAME: f64 = 1e-5;
/// Key of a GGUF file of ours with the `rope.json` of the export.
const ROPE_KEY: &str = "longrope.rope";

/// The RoPE in the `rope.json` that an export left in its folder, as far as a `config.json` can hold it. `None` if there is
/// no such file, or none that fits the model.
pub(super) fn of_folder(folder: &Path, model: &ModelConfig) -> Option<RopeSpec> {
    let text = fs_err::read_to_string(folder.join("rope.json")).ok()?;
    let spec = RopeArtifact::from_json(&text).ok()?.spec();
    let config = read_config_json(&folder.join("config.json")).ok()?;
    let mut written = config.as_object()?.clone();
    write_hf_rope(&mut written, &spec, model.max_context).ok()?;
    Some(read_hf_rope(&written.into()).ok()?.spec)
}

/// The RoPE that a GGUF file of ours says it was exported with, with the sets that it was exported with. `None` for other
/// files, and for RoPEs that are not kept as factors.
pub(super) fn of_gguf(file: &GgufFile, model: &ModelConfig) -> Option<RopeSpec> {
    let spec = RopeArtifact::from_json(file.get(ROPE_KEY)?.as_str()?)
        .ok()?
        .spec();
    let original = model.rope.original_context;
    let (short, long) = (
        spec.factor_set(original)?,
        spec.factor_set(model.max_context)?,
    );
    // An export holds both sets, or one in the place of both.
    let sets = [(short, long), (long, long), (short, short)];
    let specs = sets.map(|(short, long)| in_sets_of(&model.rope, short, long));
    let n_differences = |spec: &RopeSpec| {
        let at = |context| n_different(&model.rope.resolve(context), &spec.resolve(context));
        at(original) + at(original + 1)
    };
    specs.into_iter().flatten().min_by_key(n_differences)
}

/// A RoPE with other factors. Everything else stays, the attention scale too.
fn in_sets_of(rope: &RopeSpec, short: &FactorSet, long: &FactorSet) -> Option<RopeSpec> {
    let set = |max_context: usize, factors: &FactorSet| FactorSet {
        max_context,
        start_tokens: 0,
        factors: factors.factors.clone(),
        attention: Some(AttentionScale::Constant {
            value: rope.attention_scale(max_context),
        }),
    };
    let original = rope.original_context;
    let longest = rope.max_context().max(original + 1);
    let scaling = RopeScaling::LongRope {
        sets: vec![set(original, short), set(longest, long)],
        attention: AttentionScale::None {},
    };
    RopeSpec { scaling, ..*rope }.validated().ok()
}

/// In words, how a RoPE differs from the expected one at a context; `None` if it does not.
pub(super) fn difference(found: &RopeSpec, expected: &RopeSpec, context: usize) -> Option<String> {
    let (found, expected) = (found.resolve(context), expected.resolve(context));
    let mut pairs = found.inv_freq().iter().zip(expected.inv_freq());
    if let Some(pair) = pairs.position(|(a, b)| !is_same(*a, *b)) {
        let factor = expected.inv_freq()[pair] / found.inv_freq()[pair];
        let n = n_different(&found, &expected);
        return Some(format!(
            "the factor of pair {pair} is {factor:.4} times the exported one ({n} of {} pairs differ)",
            found.n_pairs()
        ));
    }
    let (a, b) = (found.attention_scale(), expected.attention_scale());
    (!is_same(a, b)).then(|| format!("its attention scale is {a:.6}, and {b:.6} was exported"))
}

fn n_different(a: &ResolvedRope, b: &ResolvedRope) -> usize {
    let pairs = a.inv_freq().iter().zip(b.inv_freq());
    pairs.filter(|(a, b)| !is_same(**a, **b)).count()
}

fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * b.abs().max(f64::MIN_POSITIVE)
}
