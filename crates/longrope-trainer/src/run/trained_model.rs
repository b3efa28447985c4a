//! The checkpoint that a training ends with: the trained weights, and a `config.json` with the RoPE they were trained
//! under.

use std::path::{Path, PathBuf};

use longrope_model::{ConfigChanges, Decoder, FloatType, changed_config, copy_companions};
use longrope_rope::{
    AttentionScale, FactorSet, Provenance, RescaleFactors, RopeArtifact, RopeScaling, RopeSpec,
    ntk_factors,
};

use super::kept_files::keep_files;
use super::records::Record;
use super::trainer_state::{TrainerStateSettings, write_trainer_state};
use crate::error::{Error, Result};
use crate::finite::check_weights;

/// Everything about the checkpoint but its weights, known before the training begins.
pub(super) struct TrainedModel {
    folder: PathBuf,
    base: PathBuf,
    /// The text of `config.json`.
    config: String,
    /// The RoPE as `rope.json`, which can express what `config.json` cannot.
    rope: RopeArtifact,
    /// The context that the model claims, in tokens.
    context: usize,
}

impl TrainedModel {
    /// Plans the checkpoint `folder` of a training of `decoder`, the model in `base`, under `rope`, on windows of `context`
    /// tokens.
    ///
    /// # Errors
    /// If `folder` is the base model or contains it, if it exists although the run is new, or if no `config.json` of
    /// this family can express the RoPE.
    pub(super) fn plan(
        folder: PathBuf,
        base: &Path,
        decoder: &Decoder,
        rope: &RopeSpec,
        context: usize,
        resume: bool,
    ) -> Result<Self> {
        let model = decoder.config();
        if folder.exists() {
            let is_base = fs_err::canonicalize(base)?.starts_with(fs_err::canonicalize(&folder)?);
            if is_base || !resume {
                return Err(Error::ModelInPlace { folder });
            }
        }
        // A RoPE that stays the same keeps its spelling.
        if model.is_nested {
            return Err(Error::NestedModel {
                folder: base.to_owned(),
            });
        }
        let is_same = *rope == model.rope && context <= model.max_context;
        let context = if is_same {
            model.max_context
        } else {
            rope.max_context().max(context)
        };
        let written = with_theta(rope, context).map_err(|source| longrope_model::Error::Rope {
            path: base.join("config.json"),
            source: Box::new(source),
        })?;
        let changes = ConfigChanges {
            rope: (!is_same).then_some((&written, context)),
            // Other programs load the weights in the type that is named.
            dtype: FloatType::of(decoder.matrix_dtype()),
            ..ConfigChanges::default()
        };
        let (config, warnings) = changed_config(base, model, changes)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self {
            folder,
            base: base.to_owned(),
            config,
            rope: RopeArtifact::from_spec(rope, Provenance::default())
                .with_local(model.local_rope.as_ref()),
            context,
        })
    }

    /// Writes the checkpoint with the trained weights and the history of the training, and returns its folder. What others
    /// have put into the folder stays.
    ///
    /// # Errors
    /// [`Error::WeightNotFinite`] if a weight is NaN or infinite; if something cannot be written. The folder then is as
    /// it was before.
    pub(super) fn write(
        self,
        decoder: &Decoder,
        records: &[Record],
        settings: TrainerStateSettings,
    ) -> Result<PathBuf> {
        // What a killed process had ready is put in its place first, with what others have put there.
        longrope_data::remove_leftovers(&self.folder, ".writing-");
        longrope_data::replace_folder(&self.folder, ".writing-", |folder| {
            let weights = folder.join("model.safetensors");
            decoder.write_weights(&weights)?;
            check_weights(&weights, &self.base, settings.max_steps)?;
            fs_err::write(folder.join("config.json"), &self.config)?;
            fs_err::write(folder.join("rope.json"), self.rope.to_json_pretty())?;
            copy_companions(&self.base, folder, Some(self.context))?;
            write_trainer_state(folder, records, settings)?;
            keep_files(&self.folder, folder)?;
            Ok::<(), Error>(())
        })?;
        Ok(self.folder)
    }
}

/// The same frequencies as a spec that `config.json` expresses without another theta.
///
/// NTK-aware scaling is otherwise written as a larger theta. The model could not be extended further then, because
/// methods and factors for longer contexts are relative to the theta of the base model.
fn with_theta(rope: &RopeSpec, context: usize) -> longrope_rope::Result<RopeSpec> {
    let RopeScaling::NtkAware { scale } = rope.scaling else {
        return Ok(rope.clone());
    };
    let factors = RescaleFactors::new(ntk_factors(rope.n_pairs(), scale))?;
    let mut contexts = vec![rope.original_context, context];
    contexts.dedup();
    let set = |max_context| FactorSet {
        max_context,
        start_tokens: 0,
        factors: factors.clone(),
        attention: None,
    };
    let scaling = RopeScaling::LongRope {
        sets: contexts.into_iter().map(set).collect(),
        attention: AttentionScale::None {},
    };
    Ok(RopeSpec {
        scaling,
        ..rope.plain()
    })
}
