//! What an export writes: the RoPE and the context.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_model::{Error, ModelConfig};
use longrope_rope::{Method, Provenance, RopeArtifact, RopeScaling, RopeSpec};

use crate::failure::Hint;
use crate::input::rope_arg::{RopeArg, check_expressible, missing_context};
use crate::settings::bounds::{MOST_TOKENS, check_flag};
use crate::settings::path_text::from_text;
use crate::show::output;

/// A RoPE for an export.
pub(super) struct Chosen {
    pub(super) spec: RopeSpec,
    /// Context that the exported model claims, in tokens.
    pub(super) context: usize,
    /// The RoPE as `rope.json` holds it, with its provenance.
    pub(super) artifact: RopeArtifact,
}

/// The RoPE that `--rope` and `--target` name, for the model in a folder.
pub(super) fn choose(folder: &Path, name: &str, target: Option<usize>) -> Result<Chosen> {
    if let Some(target) = target {
        check_flag("--target", target, 1, MOST_TOKENS)?;
    }
    let model = ModelConfig::from_folder(folder)
        .with_context(|| format!("reading model `{}`", folder.display()))?;
    let wanted = target.unwrap_or(model.max_context);
    let rope = RopeArg::parse(name, &model, wanted)?;
    if target.is_none() && matches!(rope, RopeArg::File(_)) && rope.needs_context() {
        let original = model.rope.original_context;
        return Err(missing_context(name, "--target", original));
    }
    let spec = rope.spec(wanted)?;
    check_scaling(name, &rope, &spec, wanted)?;
    check_expressible(
        name,
        &spec,
        "exported: no key of a config.json groups positions",
    )?;
    let window = model.rope.original_context;
    if let Some(target) = target
        && target < window
    {
        return Err(anyhow!(
            "`--target` is {target}, shorter than the {window} tokens that the model was trained for"
        )
        .context(Hint("leave out --target to keep the context of the model".to_owned())));
    }
    let longest = match &rope {
        RopeArg::Checkpoint(spec) => spec.max_context().max(model.max_context),
        RopeArg::Method(..) | RopeArg::AnyContext(_) => wanted,
        RopeArg::File(spec) => spec.max_context(),
    };
    let context = target.unwrap_or(longest);
    if target.is_none() && matches!(rope, RopeArg::AnyContext(_)) {
        tracing::warn!(
            "RoPE `{name}` was not made for a context: the export claims the {context} tokens of the model; --target N claims more"
        );
    }
    check_target(name, context, longest)?;
    let artifact =
        RopeArtifact::from_spec(&spec, provenance(name)).with_local(model.local_rope.as_ref());
    Ok(Chosen {
        spec,
        context,
        artifact,
    })
}

impl Chosen {
    /// The same with another RoPE, for the same context and with the same provenance.
    pub(super) fn with_spec(self, spec: RopeSpec) -> Self {
        let provenance = self.artifact.provenance.clone();
        Self {
            artifact: RopeArtifact::from_spec(&spec, provenance).with_local(self.artifact.local()),
            spec,
            ..self
        }
    }
}

/// Prints what was written.
pub(super) fn show(out: &Path, context: usize, spec: &RopeSpec, weights: &str) -> Result<()> {
    output::line(format!(
        "wrote {}: {} tokens, RoPE {}, {weights}",
        output::path(out),
        output::grouped(context),
        spec.scaling.name()
    ))
}

/// Checks that the export may be written to `out`, before anything is measured: there is nothing, or `force` is given and it is
/// not the model itself.
///
/// # Errors
/// `OutputExists` or `OutputKept`.
pub(super) fn check_out(out: &Path, model: &Path, force: bool) -> Result<()> {
    let doing = || format!("exporting to `{}`", out.display());
    if fs_err::symlink_metadata(out).is_err() {
        return Ok(());
    }
    let path = out.to_owned();
    if !force {
        return Err(Error::OutputExists { path }).with_context(doing);
    }
    let place = |path: &Path| fs_err::canonicalize(path).ok();
    if place(out).is_some() && place(out) == place(model) {
        let problem = "it is the model".to_owned();
        return Err(Error::OutputKept { path, problem }).with_context(doing);
    }
    Ok(())
}

/// Checks that a method scales something at the context it is made for.
fn check_scaling(name: &str, rope: &RopeArg, spec: &RopeSpec, context: usize) -> Result<()> {
    let RopeArg::Method(method, base) = rope else {
        return Ok(());
    };
    if *method == Method::None || spec.scaling != (RopeScaling::None {}) {
        return Ok(());
    }
    let original = base.original_context;
    Err(anyhow!(
        "RoPE `{name}` changes nothing at {context} tokens, within the original context of {original}"
    )
    .context(Hint(format!(
        "give the context to extend to, for example --target {}",
        original.saturating_mul(4)
    ))))
}

/// Checks that the RoPE was made for the context that the exported model claims.
fn check_target(name: &str, target: usize, longest: usize) -> Result<()> {
    if target <= longest {
        return Ok(());
    }
    Err(anyhow!(
        "`--target` is {target}, but RoPE `{name}` was made for at most {longest} tokens"
    )
    .context(Hint(format!(
        "leave out --target, give at most {longest}, or search for a RoPE with --target {target}"
    ))))
}

/// The provenance in a `rope.json`, which the export keeps; empty for other RoPEs.
fn provenance(rope: &str) -> Provenance {
    fs_err::read_to_string(from_text(PathBuf::from(rope)))
        .ok()
        .and_then(|text| RopeArtifact::from_json(&text).ok())
        .map(|artifact| artifact.provenance)
        .unwrap_or_default()
}
