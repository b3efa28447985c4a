//! Hints about model folders, made from what is there.

use std::io::Read;
use std::path::{Path, PathBuf};

use longrope_model::{WeightProblem, WeightReport, is_hub_name};
use serde_json::Value;

use crate::failure::search_folder::search_folder;
use crate::next_steps::quoted;

/// Usual names of folders that hold models.
const LOCAL: [&str; 6] = ["models", "model", "runs", "run", "data", "checkpoints"];

/// What a folder should hold.
const WANTED: &str =
    "give the folder that holds config.json, tokenizer.json and the safetensors files";

/// How weights in another format become safetensors.
const CONVERT: &str = "convert them with transformers: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)";

/// How stacked experts become tensors of their own.
const UNSTACK: &str = "the experts are stacked in one tensor per layer: load the model with transformers and save it again with \
                       save_pretrained, which by default writes tensors for each expert";

/// How packed weights become numbers that are read.
const UNPACK: &str = "convert the weights to bf16 with transformers: AutoModelForCausalLM.from_pretrained(FOLDER, \
                      dtype=\"bfloat16\", quantization_config=Mxfp4Config(dequantize=True)).save_pretrained(NEW_FOLDER)";

/// The hint for a model path that is not a folder.
pub(super) fn for_no_folder(path: &Path) -> String {
    if path.is_file() {
        return for_file(path);
    }
    match path.to_str() {
        Some(name) if may_be_on_hub(name) => {
            format!("{WANTED}; a model of the Hugging Face hub is given as hf:{name}")
        }
        _ => WANTED.to_owned(),
    }
}

/// Whether a path that leads nowhere may be meant as a name of the hub. The first part of a local path is a folder that is
/// there, or has one of the usual names.
fn may_be_on_hub(name: &str) -> bool {
    let owner = name.split('/').next().unwrap_or_default();
    let is_local = LOCAL.contains(&owner) || Path::new(owner).is_dir();
    is_hub_name(name) && !is_local
}

/// The hint for a folder that lacks `config.json` or weights.
pub(super) fn for_folder(folder: &Path) -> String {
    let names = names(folder);
    let has = |end: &str| names.iter().any(|name| name.ends_with(end));
    if names.is_empty() {
        return match model_below(folder) {
            Some(model) => below(&model),
            None => format!("the folder is empty; {WANTED}"),
        };
    }
    if let Some(hint) = search_folder(folder) {
        return hint;
    }
    if names.iter().any(|name| name == "adapter_config.json") {
        return adapters(folder);
    }
    if names.iter().any(|name| name == "state.json") && folder.join("adapter").is_dir() {
        return saved_adapters(folder);
    }
    let has_config = names.iter().any(|name| name == "config.json");
    let shards = names.iter().find(|name| is_shard(name));
    let single = names
        .iter()
        .find(|name| name.ends_with(".safetensors") && *name != "consolidated.safetensors");
    if let Some(words) = quantization(folder) {
        return quantized(&words);
    }
    if let Some(shard) = shards.filter(|_| has_config) {
        return format!(
            "`{shard}` is one of several files: download model.safetensors.index.json too, next to it"
        );
    }
    if let Some(single) = single.filter(|name| has_config && *name != "model.safetensors") {
        return format!("if `{single}` has all weights, rename it to model.safetensors");
    }
    if has_config && !has(".safetensors") && (has(".bin") || has(".bin.index.json")) {
        return format!("the weights are PyTorch files (.bin), which are not read; {CONVERT}");
    }
    if let Some(model) = model_below(folder) {
        return below(&model);
    }
    if has(".gguf") {
        return GGUF.to_owned();
    }
    if has(".pth") || has(".pt") || names.iter().any(|name| name.starts_with("consolidated.")) {
        return "these are weights in the format of their authors (consolidated, .pth); download the version of the \
                model for transformers, which has config.json and model*.safetensors"
            .to_owned();
    }
    if has(".bin") || has(".h5") || has(".msgpack") || has(".onnx") || has(".npz") {
        return format!("weights in other formats than safetensors are not read; {CONVERT}");
    }
    if single.is_some() {
        return "the weights are there, but config.json is not: download it too, next to them"
            .to_owned();
    }
    if has_config {
        return "config.json is there, but the weights are not: download the safetensors files too, next to it"
            .to_owned();
    }
    WANTED.to_owned()
}

/// The hint for weights that do not fit `config.json`.
pub(super) fn for_misfit(folder: &Path, report: &WeightReport) -> String {
    let is_packed = |problem: &WeightProblem| matches!(problem, WeightProblem::Packed { .. });
    if report.problems.iter().any(is_packed) {
        return UNPACK.to_owned();
    }
    if let Some(words) = quantization(folder) {
        return quantized(&words);
    }
    let is_stacked = |problem: &WeightProblem| match problem {
        WeightProblem::Unexpected { name, .. } => {
            name.ends_with(".experts.gate_up_proj") || name.ends_with(".experts.down_proj")
        }
        _ => false,
    };
    if report.problems.iter().any(is_stacked) {
        return UNSTACK.to_owned();
    }
    let missing = |problem: &WeightProblem| match problem {
        WeightProblem::Missing { name, .. } => Some(name.clone()),
        _ => None,
    };
    let first_missing = report.problems.iter().find_map(missing);
    if let ([_], Some("lm_head.weight")) = (&report.problems[..], first_missing.as_deref()) {
        return "if the model has no head of its own, set tie_word_embeddings to true in config.json".to_owned();
    }
    if let Some(missing) = first_missing {
        for problem in &report.problems {
            let WeightProblem::Unexpected { name, .. } = problem else {
                continue;
            };
            if let Some(before) = name.strip_suffix(&missing) {
                return format!(
                    "tensor names have `{before}` before them: save the model inside that wrapper, or rename the tensors"
                );
            }
            if let Some(before) = missing.strip_suffix(name.as_str()) {
                return format!(
                    "tensor names lack `{before}`: load the model with AutoModelForCausalLM in transformers, and save it again"
                );
            }
        }
    }
    "config.json and the weights belong to different models, or one of them was edited".to_owned()
}

const GGUF: &str = "the folder has GGUF files: give one of them, or the Hugging Face folder that it was converted from";

/// The hint for a file in the place of a model folder.
fn for_file(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if path.extension().is_none_or(|it| it != "gguf") && begins_as_gguf(path) {
        return "this is a GGUF file: rename it so that its name ends in .gguf, and give it again"
            .to_owned();
    }
    let folder = path.parent().filter(|folder| is_model(folder));
    match folder {
        Some(folder) if folder.as_os_str().is_empty() => {
            "give the folder of the file, which is the working directory: `.`".to_owned()
        }
        Some(folder) => format!("give the folder of the file, `{}`", folder.display()),
        None if name.ends_with(".gguf") => GGUF.to_owned(),
        None if [".bin", ".pt", ".pth", ".ckpt"]
            .iter()
            .any(|end| name.ends_with(end)) =>
        {
            format!("PyTorch files are not read; {CONVERT}, and give that folder")
        }
        None if [".zip", ".gz", ".tar", ".tgz", ".zst"]
            .iter()
            .any(|end| name.ends_with(end)) =>
        {
            format!("unpack the archive; {WANTED}")
        }
        None => WANTED.to_owned(),
    }
}

/// Whether a file has the first bytes of GGUF files.
fn begins_as_gguf(path: &Path) -> bool {
    let Ok(mut file) = fs_err::File::open(path) else {
        return false;
    };
    let mut magic = [0; 4];
    file.read_exact(&mut magic).is_ok() && magic == *b"GGUF"
}

fn adapters(folder: &Path) -> String {
    let base = json(&folder.join("adapter_config.json"));
    let base = base
        .as_ref()
        .and_then(|json| json["base_model_name_or_path"].as_str());
    let base = base.map_or_else(
        || "the base model".to_owned(),
        |base| format!("the base model `{base}`"),
    );
    format!(
        "the folder holds only low-rank adapters; give {base}, or a model into which they are merged (in PEFT: \
         merge_and_unload, then save_pretrained)"
    )
}

/// The hint for a saved state of a training of adapters.
fn saved_adapters(state: &Path) -> String {
    let run = match state.parent() {
        Some(run) if run.as_os_str().is_empty() => Path::new("."),
        Some(run) => run,
        None => state,
    };
    let model = run.join("model");
    let what = "this is a saved state of a training, which holds only adapters";
    if is_model(&model) {
        return format!(
            "{what}: give the trained model, `{}`; `longrope export {} --adapter` writes the adapters",
            model.display(),
            quoted(run)
        );
    }
    format!(
        "{what}: end the training with `longrope finetune --resume --out {}`, and give the folder `model` that it writes",
        quoted(run)
    )
}

/// What a quantized model is quantized with, by its configuration; `None` if it is not quantized.
fn quantization(folder: &Path) -> Option<String> {
    let config = json(&folder.join("config.json"))?;
    let section = ["quantization_config", "compression_config"]
        .iter()
        .find_map(|key| config.get(*key))
        .filter(|section| section.is_object());
    if let Some(section) = section {
        let method = section.get("quant_method").and_then(Value::as_str);
        return Some(method.unwrap_or("an unnamed method").to_owned());
    }
    let of_tool = [
        "hf_quant_config.json",
        "quantize_config.json",
        "quant_config.json",
    ];
    let file = of_tool.iter().find(|name| folder.join(name).is_file())?;
    Some(format!("{file} says"))
}

fn quantized(words: &str) -> String {
    format!(
        "the weights are quantized ({words}), which is not supported: use the original model with F32, F16 or BF16 weights"
    )
}

fn below(model: &Path) -> String {
    format!("the model is in `{}`: give that folder", model.display())
}

/// A model one folder down or, in the cache of the hub, in a snapshot.
fn model_below(folder: &Path) -> Option<PathBuf> {
    let below = |folder: &Path| subfolders(folder).into_iter().find(|it| is_model(it));
    below(folder).or_else(|| below(&folder.join("snapshots")))
}

/// Whether a folder has `config.json` and safetensors.
fn is_model(folder: &Path) -> bool {
    let names = names(if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    });
    names.iter().any(|name| name == "config.json")
        && names.iter().any(|name| name.ends_with(".safetensors"))
}

/// Whether a name is that of one of several weight files.
fn is_shard(name: &str) -> bool {
    name.starts_with("model-") && name.contains("-of-") && name.ends_with(".safetensors")
}

/// Names of the files of a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let files = entries(folder).into_iter().filter(|path| path.is_file());
    files
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = entries(folder).into_iter();
    entries.filter(|path| path.is_dir()).collect()
}

/// Paths in a folder, sorted; none if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_str(&fs_err::read_to_string(path).ok()?).ok()
}
