//! The longest windows that GPUs can train, for `longrope plan --gpus`.

use longrope_model::ModelConfig;
use longrope_model::estimate::{self, TrainedParameters, Training};
use serde::Serialize;

use crate::show::output;

/// Memories of GPUs, in GB.
const GPU_GB: [usize; 4] = [24, 40, 80, 141];
/// Numbers of GPUs that share the layers.
const GPUS: [usize; 5] = [1, 2, 4, 8, 16];
/// Share of the memory of a GPU that the plan may use. The driver, compiled kernels and pools of memory take the rest.
const HEADROOM: f64 = 0.85;

/// The longest windows on some GPUs, in tokens; 0 if not even the weights fit.
#[derive(Serialize)]
pub(crate) struct GpuRow {
    memory_gb: usize,
    gpus: usize,
    lora: usize,
    lora_offload: usize,
    full: usize,
    full_offload: usize,
}

/// The longest windows of trainings in half precision.
pub(crate) fn rows(model: &ModelConfig, n_adapters: usize) -> Vec<GpuRow> {
    let n_layers = model.n_layers;
    let sizes = GPU_GB
        .into_iter()
        .flat_map(|gb| GPUS.map(|gpus| (gb, gpus)));
    sizes
        .filter(|(_, gpus)| *gpus <= n_layers)
        .map(|(memory_gb, gpus)| {
            let longest = |trained, offload| {
                let training = Training {
                    offload,
                    ..Training::half(trained)
                };
                let bytes = HEADROOM * 1e9 * memory_gb as f64;
                let devices = estimate::train_memories(model, training, gpus).into_iter();
                devices
                    .map(|memory| memory.longest(bytes))
                    .min()
                    .unwrap_or_default()
            };
            let adapters = TrainedParameters::Adapters(n_adapters);
            GpuRow {
                memory_gb,
                gpus,
                lora: longest(adapters, false),
                lora_offload: longest(adapters, true),
                full: longest(TrainedParameters::All, false),
                full_offload: longest(TrainedParameters::All, true),
            }
        })
        .collect()
}

/// The rows as a table, with what they are about.
pub(crate) fn text(rows: &[GpuRow]) -> String {
    let header = [
        "GPU",
        "GPUs",
        "lora",
        "lora, offloaded",
        "full",
        "full, offloaded",
    ];
    let window = |tokens: usize| match tokens {
        0 | 1 => "-".to_owned(),
        tokens => output::grouped(tokens),
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![format!("{} GB", row.memory_gb), row.gpus.to_string()];
            cells.extend([row.lora, row.lora_offload, row.full, row.full_offload].map(window));
            cells
        })
        .collect();
    format!(
        "{}\nlongest windows of a training with train.precision = bf16, in tokens, if GPUs share the layers (--device A+B); \
         {:.0}% of the memory is used; from formulas that were checked on CPUs",
        output::table(&header.map(str::to_owned), &cells),
        100.0 * HEADROOM
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn more_memory_and_more_gpus_give_longer_windows() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tiny-llama-256");
        let model = ModelConfig::from_folder(&folder).unwrap();
        let rows = rows(&model, 1000);
        // The model has 4 layers.
        assert_eq!(rows.len(), 4 * 3);
        for pair in rows.windows(2) {
            if pair[0].memory_gb == pair[1].memory_gb {
                assert!(pair[0].lora <= pair[1].lora && pair[0].full <= pair[1].full);
            } else {
                assert_eq!(pair[1].gpus, 1);
            }
        }
        for row in &rows {
            assert!(
                row.lora_offload >= row.lora && row.lora >= row.full,
                "offloading helps"
            );
        }
        assert!(rows[3].lora > rows[0].lora);
    }
}
