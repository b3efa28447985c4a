//! Settings that no training can have, whatever its model and its RoPE are.

use anyhow::{Context, Result};
use longrope_data::WindowProtocol;
use longrope_trainer::Error;

use super::enough_text::{is_on_nothing, is_on_text};
use crate::input::ropes_and_contexts::only_rope;
use crate::input::shared_text::text_of;
use crate::settings::config::Config;

/// What takes one RoPE, in messages.
pub(super) const TAKER: &str = "a training";

/// Refuses them before anything is read.
pub(crate) fn check_settings(config: &Config) -> Result<()> {
    let train = &config.train;
    let trainer = train.trainer().validate();
    trainer.map_err(|error| error.within("train"))?;
    only_rope(config, TAKER)?;
    if is_on_nothing(train) {
        return Err(Error::NothingToTrainOn.into());
    }
    if is_on_text(train) && text_of(config).is_empty() {
        let source = longrope_data::Error::NothingToTrainOn { n_documents: 0 };
        return Err(Error::Windows {
            part: "text",
            source,
        }
        .into());
    }
    if let Some(context) = train.context {
        let windows = WindowProtocol::spread(1).check(context);
        windows.context("windows of `--context`")?;
    }
    if train.eval_text.is_empty() {
        return Ok(());
    }
    if train.eval_windows == 0 {
        return Err(Error::Setting {
            key: "train.eval-windows".to_owned(),
            found: "0".to_owned(),
            expected: "1 or more, to measure on `train.eval-text`".to_owned(),
        }
        .into());
    }
    let windows = WindowProtocol::spread(train.eval_windows);
    for &context in &config.contexts {
        windows
            .check(context)
            .map_err(|source| longrope_extend::Error::Windows { context, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: &Config) -> String {
        format!("{:#}", check_settings(config).unwrap_err())
    }

    #[test]
    fn a_training_needs_text_and_windows_with_something_to_predict() {
        let mut config = Config {
            rope: vec!["yarn".to_owned()],
            ..Config::default()
        };
        let message = refused(&config);
        assert!(message.contains("nothing to train on"), "{message}");
        // Generated documents need no text.
        config.train.data.text = 0.0;
        config.train.data.passkey = 1.0;
        check_settings(&config).unwrap();
        config.train.context = Some(1);
        let message = refused(&config);
        assert!(message.contains("`--context`: context is 1"), "{message}");
        config.train.context = Some(64);
        config.contexts = vec![64, 1];
        check_settings(&config).unwrap();
        config.train.eval_text = vec!["held.txt".into()];
        let message = refused(&config);
        assert!(message.contains("placing windows of 1 tokens"), "{message}");
        config.contexts.clear();
        config.train.eval_windows = 0;
        let message = refused(&config);
        assert!(message.contains("`train.eval-windows` is 0"), "{message}");
        config.train.eval_windows = 1;
        config.train.data.passkey = 0.0;
        let error = check_settings(&config).unwrap_err();
        let error = error.downcast_ref::<Error>();
        assert!(matches!(error, Some(Error::NothingToTrainOn)), "{error:?}");
        config.train.data.passkey = 1.0;
        config.rope.push("pi".to_owned());
        let message = refused(&config);
        assert!(
            message.contains("names 2 RoPEs, a training takes one"),
            "{message}"
        );
    }
}
