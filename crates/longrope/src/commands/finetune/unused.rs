//! Settings of a training that have no effect.

use longrope_data::counted;
use longrope_trainer::run::{SkippedPositions, TrainConfig, WeightPrecision};

use crate::input::precision::trained_by_names;
use crate::settings::changed::changed_keys;
use crate::settings::config::{Config, PrecisionSetting};

/// What of `[train]` has no effect, a sentence each.
pub(super) fn settings(train: &TrainConfig) -> Vec<String> {
    let mut unused = Vec::new();
    if train.skips().is_none() {
        for key in changed_keys(&train.skipped) {
            unused.push(format!(
                "`train.skipped.{key}` has no effect without `train.positions=skipped`"
            ));
        }
    }
    let distill = &train.distill;
    for key in changed_keys(distill) {
        let needed = match key.as_str() {
            "short-weight" if distill.short <= 0.0 => "`train.distill.short`",
            "far-weight" if distill.far <= 0.0 => "`train.distill.far`",
            // The layers are filled in if anything is compared.
            "layers" if !distill.is_on() => "`train.distill.short`",
            _ => continue,
        };
        unused.push(format!(
            "`train.distill.{key}` has no effect without {needed}"
        ));
    }
    unused
}

/// What to say of a `precision` that asks for another type than a fine-tuning has.
pub(super) fn precision(config: &Config) -> Option<String> {
    let given = config.precision;
    let instead = if given.is_half() { "bf16" } else { "f32" };
    let unused = precision_beside(given, config.train.precision)?;
    Some(format!(
        "{unused}. For another type, set `train.precision` to {instead}"
    ))
}

/// As [`precision`], of a training whose devices are not opened yet. `None` too if their names do not tell its type.
pub(in crate::commands) fn precision_of_stage(config: &Config) -> Option<String> {
    let mut config = config.clone();
    config.train.precision = trained_by_names(&config)?;
    precision(&config)
}

/// What to say of types that are set and not used by a pretraining, whose weights are all in f32.
pub(in crate::commands) fn precision_of_pretraining(config: &Config) -> Vec<String> {
    let trained = config.train.precision;
    let of_training = (trained == WeightPrecision::Bf16).then(|| {
        format!(
            "`train.precision` is {}, which has no effect on `pretrain`: its weights are in f32",
            trained.name()
        )
    });
    precision_beside(config.precision, WeightPrecision::F32)
        .into_iter()
        .chain(of_training)
        .collect()
}

/// What to say of a `precision`, which is for measuring and generating, beside a training in another type.
fn precision_beside(given: PrecisionSetting, trained: WeightPrecision) -> Option<String> {
    let is_half = trained == WeightPrecision::Bf16;
    if given == PrecisionSetting::Auto || given.is_half() == is_half {
        return None;
    }
    Some(format!(
        "`precision` is {}, which has no effect on a training: this one is in {}",
        given.name(),
        trained.name()
    ))
}

/// What to say of a training whose steps end before the last of its targets, which the setting `key` lists.
pub(in crate::commands) fn curriculum(
    key: &str,
    skipped: &SkippedPositions,
    n_steps: usize,
) -> Option<String> {
    let needed = skipped.steps_needed();
    let last = skipped.targets.last()?;
    (n_steps < needed).then(|| {
        format!(
            "{key} ends with {last}, which no step of this training reaches: it has {}, and needs at least {needed}",
            counted(n_steps, "step")
        )
    })
}

#[cfg(test)]
mod tests {
    use longrope_trainer::run::Positions;

    use super::*;
    use crate::settings::device_names::DeviceNames;

    #[test]
    fn what_has_no_effect_is_named() {
        let mut train = TrainConfig::default();
        assert_eq!(settings(&train), [""; 0]);
        train.skipped.share = 0.5;
        assert_eq!(
            settings(&train),
            ["`train.skipped.share` has no effect without `train.positions=skipped`"]
        );
        train.positions = Positions::Skipped;
        assert_eq!(settings(&train), [""; 0]);
        train.distill.far_weight = 99.0;
        train.distill.short_weight = 99.0;
        train.distill.short = 0.5;
        assert_eq!(
            settings(&train),
            ["`train.distill.far-weight` has no effect without `train.distill.far`"]
        );
    }

    #[test]
    fn the_type_of_measurements_is_not_that_of_a_training() {
        let said = |given, trained| {
            let mut config = Config {
                precision: given,
                ..Config::default()
            };
            config.train.precision = trained;
            precision(&config)
        };
        let (whole, half) = (WeightPrecision::F32, WeightPrecision::Bf16);
        assert_eq!(said(PrecisionSetting::Auto, half), None);
        assert_eq!(said(PrecisionSetting::F16, half), None);
        assert_eq!(said(PrecisionSetting::F32, whole), None);
        let message = said(PrecisionSetting::F16, whole).unwrap();
        assert!(message.ends_with("`train.precision` to bf16"), "{message}");
        let message = said(PrecisionSetting::F32, half).unwrap();
        assert!(message.contains("this one is in bf16"), "{message}");
    }

    #[test]
    fn the_type_of_a_stage_follows_from_the_names_of_its_devices() {
        let said = |given, device: &str| {
            let config = Config {
                precision: given,
                device: DeviceNames::One(device.to_owned()),
                ..Config::default()
            };
            precision_of_stage(&config)
        };
        let half = said(PrecisionSetting::Bf16, "flex").unwrap();
        assert!(half.contains("this one is in f32"), "{half}");
        assert_eq!(said(PrecisionSetting::Bf16, "cuda:0"), None);
        let whole = said(PrecisionSetting::F32, "cuda:0").unwrap();
        assert!(whole.contains("this one is in bf16"), "{whole}");
        // It has to be opened.
        assert_eq!(said(PrecisionSetting::F32, "vulkan:0"), None);
        assert_eq!(said(PrecisionSetting::Bf16, "vulkan:0"), None);
    }

    #[test]
    fn types_that_a_pretraining_does_not_use_are_named() {
        assert_eq!(precision_of_pretraining(&Config::default()), [""; 0]);
        let mut config = Config {
            precision: PrecisionSetting::Bf16,
            ..Config::default()
        };
        config.train.precision = WeightPrecision::Bf16;
        let said = precision_of_pretraining(&config);
        assert!(said[0].starts_with("`precision` is bf16"), "{said:?}");
        assert!(said[1].starts_with("`train.precision` is bf16"), "{said:?}");
    }
}
