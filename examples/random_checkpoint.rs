//! Writes a LLaMA checkpoint with random bf16 weights, in shards, to measure memory and time at any
//! model size. Its tokenizer is that of the bundled model.
//!
//! `cargo run --release --example random_checkpoint -- DIR [8b|7b|1b|tiny]`

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use longrope_model::ModelConfig;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// Size of one weight file.
const SHARD_BYTES: usize = 5_000_000_000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args
        .next()
        .context("usage: random_checkpoint DIR [8b|7b|1b|tiny]")?;
    let shape = args.next().unwrap_or_else(|| "tiny".to_owned());
    // hidden, intermediate, layers, heads, key heads, vocabulary
    let [hidden, inner, layers, heads, key_heads, vocab] = match shape.as_str() {
        "8b" => [4096, 14336, 32, 32, 8, 128_256],
        "7b" => [4096, 11008, 32, 32, 32, 32000],
        "1b" => [2048, 5632, 16, 32, 32, 32000],
        "tiny" => [256, 688, 2, 4, 2, 1024],
        other => bail!("shape `{other}`, expected 8b, 7b, 1b or tiny"),
    };
    let config = json!({
        "model_type": "llama", "hidden_act": "silu", "hidden_size": hidden,
        "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": key_heads, "vocab_size": vocab, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "max_position_embeddings": 4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "bos_token_id": 1, "eos_token_id": 2,
    });
    let folder = Path::new(&folder);
    fs_err::create_dir_all(folder)?;
    fs_err::write(
        folder.join("config.json"),
        serde_json::to_string_pretty(&config)?,
    )?;

    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tiny-llama-256");
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        fs_err::copy(bundled.join(file), folder.join(file))?;
    }
    let tensors = ModelConfig::from_json(&config, &folder.join("config.json"))?.tensors();
    let mut shards: Vec<Vec<(String, Vec<usize>)>> = vec![Vec::new()];
    let mut filled = 0;
    for (name, shape) in tensors {
        let n_bytes = 2 * shape.iter().product::<usize>();
        if filled > 0 && filled + n_bytes > SHARD_BYTES {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += n_bytes;
        if let Some(shard) = shards.last_mut() {
            shard.push((name, shape));
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut weight_map = Map::new();
    for (i, shard) in shards.iter().enumerate() {
        let file = format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
        write_shard(&folder.join(&file), shard, &mut rng)?;
        for (name, _) in shard {
            weight_map.insert(name.clone(), Value::from(file.clone()));
        }
    }
    let index = json!({"metadata": {}, "weight_map": weight_map});
    fs_err::write(
        folder.join("model.safetensors.index.json"),
        index.to_string(),
    )?;
    Ok(())
}

/// Writes the header, then the tensors: norms of ones, matrices of small random numbers.
fn write_shard(path: &Path, tensors: &[(String, Vec<usize>)], rng: &mut impl Rng) -> Result<()> {
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        let info = json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), info);
    }
    let header = Value::Object(header).to_string();
    let mut file = BufWriter::with_capacity(1 << 20, fs_err::File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for (name, shape) in tensors {
        let n: usize = shape.iter().product();
        if name.ends_with("norm.weight") {
            file.write_all(&[0x80, 0x3f].repeat(n))?; // 1.0
            continue;
        }
        let mut random = [0u8; 8192];
        let mut left = n;
        while left > 0 {
            rng.fill_bytes(&mut random);
            let count = left.min(random.len() / 2);
            for pair in random[..2 * count].as_chunks_mut::<2>().0 {
                // Random sign and mantissa, magnitude between 2^-6 and 2^-5.
                let bits = u16::from_le_bytes(*pair);
                *pair = ((bits & 0x807f) | (121 << 7)).to_le_bytes();
            }
            file.write_all(&random[..2 * count])?;
            left -= count;
        }
    }
    file.flush()?;
    Ok(())
}
