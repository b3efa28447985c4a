//! The tensors of experts.

use longrope_rope::{ExpertKind, Experts, SharedExpert};

use crate::config::ModelConfig;
use crate::config::tensors::{MapShape, map_tensors};

/// Name of the biases beside stacked matrices.
pub(crate) fn stacked_bias(matrices: &str) -> String {
    format!("{matrices}_bias")
}

/// Name of an expert, whose matrices are separate, below a layer.
pub(crate) fn expert_name(list: &str, expert: usize) -> String {
    format!("{list}.{expert}")
}

impl ModelConfig {
    /// The map to one score per expert.
    pub(crate) fn router_map(&self, experts: &Experts) -> MapShape {
        MapShape {
            name: experts.router.name,
            rows: experts.n_experts,
            columns: self.hidden_size,
            bias: experts.router.bias,
        }
    }

    /// The maps of a gated MLP, in the order of computation.
    pub(crate) fn gated_maps(&self, names: [&'static str; 3], inner: usize) -> Vec<MapShape> {
        let [gate, up, down] = names;
        let map = |name, rows, columns| MapShape {
            name,
            rows,
            columns,
            bias: false,
        };
        vec![
            map(gate, inner, self.hidden_size),
            map(up, inner, self.hidden_size),
            map(down, self.hidden_size, inner),
        ]
    }

    /// The maps of the shared expert, and the map to its weight.
    pub(crate) fn shared_maps(&self, shared: &SharedExpert) -> (Vec<MapShape>, MapShape) {
        let names = [shared.gate, shared.up, shared.down];
        let weight = MapShape {
            name: shared.weight,
            rows: 1,
            columns: self.hidden_size,
            bias: false,
        };
        (self.gated_maps(names, shared.inner), weight)
    }

    /// Names below a layer, and shapes, of all tensors of experts, in the order of computation.
    pub(crate) fn expert_tensors(&self, experts: &Experts) -> Vec<(String, Vec<usize>)> {
        let (n, hidden, inner) = (experts.n_experts, self.hidden_size, experts.inner);
        let mut list = map_tensors(None, &self.router_map(experts));
        match experts.kind {
            ExpertKind::Separate {
                list: parent,
                gate,
                up,
                down,
            } => {
                let maps = self.gated_maps([gate, up, down], inner);
                for expert in 0..n {
                    let name = expert_name(parent, expert);
                    list.extend(maps.iter().flat_map(|map| map_tensors(Some(&name), map)));
                }
            }
            ExpertKind::Stacked { gate_up, down, .. } => {
                let both = inner.saturating_mul(2);
                list.push((gate_up.to_owned(), vec![n, hidden, both]));
                list.push((stacked_bias(gate_up), vec![n, both]));
                list.push((down.to_owned(), vec![n, inner, hidden]));
                list.push((stacked_bias(down), vec![n, hidden]));
            }
        }
        if let Some(shared) = &experts.shared {
            let (maps, weight) = self.shared_maps(shared);
            let maps = maps.iter().chain([&weight]);
            list.extend(maps.flat_map(|map| map_tensors(None, map)));
        }
        list
    }

    /// Number of parameters of one expert.
    pub(crate) fn parameters_of_expert(&self, experts: &Experts) -> usize {
        let matrices = experts
            .inner
            .saturating_mul(self.hidden_size)
            .saturating_mul(3);
        match experts.kind {
            ExpertKind::Separate { .. } => matrices,
            ExpertKind::Stacked { .. } => {
                let biases = experts.inner.saturating_mul(2);
                matrices.saturating_add(biases.saturating_add(self.hidden_size))
            }
        }
    }
}

/// Names of the matrices that write into the residual stream, or their ends.
pub(crate) fn down_names(experts: &Experts) -> Vec<&'static str> {
    let (ExpertKind::Separate { down, .. } | ExpertKind::Stacked { down, .. }) = experts.kind;
    let shared = experts.shared.map(|shared| shared.down);
    [Some(down), shared].into_iter().flatten().collect()
}
