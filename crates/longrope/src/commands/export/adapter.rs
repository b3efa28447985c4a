//! `longrope export RUN --adapter`: the trained adapters of a run as a PEFT folder.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longrope_extend::{Interrupted, RunFolder, RunKind};
use longrope_model::{EXPORT_PREFIX, name_in_hub_cache, read_config_json};
use longrope_rope::hf_rope_keys;
use longrope_trainer::checkpoint;
use serde_json::Value;

use super::choice::check_out;
use super::source::{configured, unfinished};
use crate::failure::Hint;
use crate::input::gguf::is_gguf;
use crate::input::hub;
use crate::settings::args::Export;
use crate::show::output;
use crate::terminal::signals;

/// The files of a PEFT folder.
const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
/// The part of a `config.json` that the base model needs.
const SNIPPET: &str = "base_rope.json";
/// The section of a language model inside another.
const SECTION: &str = "text_config";

pub(super) fn run(args: &Export) -> Result<()> {
    let run = args.model.required()?;
    if !RunFolder::holds(run, RunKind::Finetune)? {
        return Err(
            anyhow!("`{}` is not the folder of a training run", run.display()).context(Hint(
                "give the --out of a `longrope finetune --lora`".to_owned(),
            )),
        );
    }
    let model = run.join("model");
    if !model.join("config.json").is_file() {
        let hint = "end it with --resume first: the model has the RoPE that the adapters need";
        return Err(unfinished(run, &model, hint));
    }
    let adapter = last_adapter(run)?.ok_or_else(|| {
        anyhow!("the run in `{}` has trained no adapters", run.display()).context(Hint(
            "leave out --adapter: the trained model is exported whole".to_owned(),
        ))
    })?;
    if args.force {
        return Err(
            anyhow!("--adapter does not replace a folder, but --force is given").context(Hint(
                "leave out --force, and give a folder that does not exist with --out".to_owned(),
            )),
        );
    }
    check_out(&args.out, run, false)?;
    let base = configured(run)?;
    let snippet = snippet(&model.join("config.json"))?;
    let interrupt = signals::listen()?;
    longrope_data::remove_leftovers(&args.out, EXPORT_PREFIX);
    longrope_data::create_folder(&args.out, EXPORT_PREFIX, |folder| -> Result<()> {
        for name in FILES {
            if interrupt.requested() {
                return Err(Interrupted.into());
            }
            fs_err::copy(adapter.join(name), folder.join(name))?;
        }
        if is_gguf(&base) {
            name_base(&folder.join(FILES[0]), &base)?;
        }
        fs_err::write(folder.join(SNIPPET), format!("{snippet:#}\n"))?;
        fs_err::write(folder.join("README.md"), card(&base, &snippet))?;
        Ok(())
    })?;
    output::line(format!(
        "wrote {}: the adapters of {}; the base model needs the RoPE in {SNIPPET}",
        output::path(&args.out),
        output::path(&adapter)
    ))
}

/// Names the base in the configuration of adapters, where it is the folder that a GGUF file was unpacked to.
fn name_base(config: &Path, base: &Path) -> Result<()> {
    let mut json: Value = serde_json::from_slice(&fs_err::read(config)?)?;
    json["base_model_name_or_path"] = base.display().to_string().into();
    fs_err::write(config, format!("{json:#}\n"))?;
    Ok(())
}

/// The adapters of the last saved state that is whole; `None` if no adapters were trained.
///
/// # Errors
/// If there are states, but none is whole.
fn last_adapter(run: &Path) -> Result<Option<PathBuf>> {
    let state = checkpoint::latest_whole(run)?;
    let adapter = state.map(|state| state.join("adapter"));
    Ok(adapter.filter(|adapter| adapter.is_dir()))
}

/// The RoPE of the trained model, as keys for the `config.json` of its base.
fn snippet(config: &Path) -> Result<Value> {
    let config = read_config_json(config)?;
    let keys = config.as_object().map(hf_rope_keys);
    Ok(Value::Object(keys.unwrap_or_default()))
}

fn card(base: &Path, snippet: &Value) -> String {
    let cached = name_in_hub_cache(base).map(|(name, _)| name);
    let name = hub::name(base).or(cached.as_deref());
    let front = name.map_or_else(String::new, |name| format!("base_model: {name}\n"));
    let base = name.map_or_else(|| "the base model".to_owned(), |name| format!("`{name}`"));
    let place = match snippet.get(SECTION) {
        // The base has other keys there, which it needs.
        Some(_) => format!(
            "put the keys inside `{SECTION}` into that section of the `config.json` of {base}, and leave its other keys, \
             before"
        ),
        None => format!("put these keys into the `config.json` of {base} before"),
    };
    format!(
        "---\n{front}library_name: peft\npipeline_tag: text-generation\n---\n\n# Adapters for a longer context\n\n\
         They were trained by `longrope finetune` under another RoPE, and work under that RoPE only: {place} \
         you load the adapters. They are in `{SNIPPET}` too.\n\n\
         ```json\n{snippet:#}\n```\n"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_card_says_where_the_keys_belong() {
        let base = Path::new("base");
        let plain = card(base, &json!({"rope_theta": 1e4}));
        let words = "only: put these keys into the `config.json` of the base model before you load";
        assert!(plain.contains(words), "{plain}");
        // In the place of the whole section, they would leave the model without its sizes.
        let nested = card(base, &json!({"text_config": {"rope_theta": 1e4}}));
        let words = "only: put the keys inside `text_config` into that section of the `config.json` of the base model, \
                     and leave its other keys, before you load";
        assert!(nested.contains(words), "{nested}");
    }
}
