//! Which tensors a checkpoint consists of: one list for loading, checking, counting and drawing weights.

use longrope_rope::{Layout, MlpKind, ModuleNames, NormKind, NormSpan, Rotation};

use super::ModelConfig;
use super::module_names::{EMBEDDING_WEIGHT, HEAD, HEAD_WEIGHT, layer_module, layer_of};

/// A linear map of a layer.
pub(crate) struct MapShape {
    /// Name relative to the layer.
    pub(crate) name: &'static str,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) bias: bool,
}

/// A normalization.
#[derive(Clone, Copy)]
pub(crate) struct NormShape {
    /// Name relative to the layer.
    pub(crate) name: &'static str,
    pub(crate) width: usize,
    pub(crate) kind: NormKind,
}

impl ModelConfig {
    /// The linear maps of the attention, in the order of computation.
    pub(crate) fn attention_maps(&self) -> Vec<MapShape> {
        let Layout { names, biases, .. } = &self.layout;
        let (query, key) = self.head_widths();
        let map = |name, rows, bias| MapShape {
            name,
            rows,
            columns: self.hidden_size,
            bias,
        };
        let bias = biases.query_key_value;
        let mut maps = match names.query_key_value {
            Some(name) => vec![map(name, query.saturating_add(key.saturating_mul(2)), bias)],
            None => vec![
                map(names.query, query, bias),
                map(names.key, key, bias),
                map(names.value, key, bias),
            ],
        };
        maps.push(MapShape {
            name: names.output,
            rows: self.hidden_size,
            columns: query,
            bias: biases.output,
        });
        maps
    }

    /// The linear maps of the MLP, in the order of computation.
    pub(crate) fn mlp_maps(&self) -> Vec<MapShape> {
        let Layout {
            names, biases, mlp, ..
        } = &self.layout;
        let (hidden, inner, bias) = (self.hidden_size, self.intermediate_size, biases.mlp);
        let map = |name, rows| MapShape {
            name,
            rows,
            columns: hidden,
            bias,
        };
        let mut maps = match (mlp.kind, names.gate_up) {
            (MlpKind::Plain, _) => vec![map(names.up, inner)],
            (MlpKind::Gated, Some(name)) => vec![map(name, inner.saturating_mul(2))],
            (MlpKind::Gated, None) => vec![map(names.gate, inner), map(names.up, inner)],
        };
        maps.push(MapShape {
            name: names.down,
            rows: hidden,
            columns: inner,
            bias,
        });
        maps
    }

    /// The normalizations of queries and of keys, if there are any.
    pub(crate) fn head_norms(&self) -> Option<[NormShape; 2]> {
        let names = &self.layout.names;
        let norm = self.layout.attention.head_norm?;
        let (query, key) = match norm.span {
            NormSpan::Head => (self.head_dim, self.head_dim),
            NormSpan::AllHeads => self.head_widths(),
        };
        let shape = |name, width| NormShape {
            name,
            width,
            kind: norm.kind,
        };
        Some([shape(names.query_norm, query), shape(names.key_norm, key)])
    }

    /// The normalizations of the residual stream in a layer: before and after the attention, before and after the MLP.
    pub(crate) fn stream_norms(&self) -> [Option<NormShape>; 4] {
        let ModuleNames {
            before_attention,
            after_attention,
            before_mlp,
            after_mlp,
            ..
        } = self.layout.names;
        [before_attention, after_attention, before_mlp, after_mlp]
            .map(|name| name.map(|name| self.stream_norm(name)))
    }

    /// A normalization of the residual stream.
    pub(crate) fn stream_norm(&self, name: &'static str) -> NormShape {
        NormShape {
            name,
            width: self.hidden_size,
            kind: self.layout.norm,
        }
    }

    /// Whether a layer that sees the most tokens is rotated by the RoPE of the model, which an extension changes.
    ///
    /// In some models, only layers with a sliding window rotate. They never see distances beyond it. They count if the model
    /// [shares its RoPE](Self::with_shared_rope).
    pub fn has_extendable_rope(&self) -> bool {
        let has_full = !self.shares_rope && self.windows.contains(&None);
        let mut layers = self.windows.iter().zip(&self.layout.rotations);
        layers.any(|(window, rotation)| {
            *rotation == Rotation::Main && (window.is_none() || !has_full)
        })
    }

    /// Whether a layer that sees all tokens is rotated by the RoPE of the model: only there do far positions have an effect.
    pub fn rotates_far_tokens(&self) -> bool {
        let mut layers = self.windows.iter().zip(&self.layout.rotations);
        layers.any(|(window, rotation)| *rotation == Rotation::Main && window.is_none())
    }

    /// The widest sliding window, in tokens, if every layer has one.
    pub fn widest_window(&self) -> Option<usize> {
        let windows: Option<Vec<usize>> = self.windows.iter().copied().collect();
        windows?.into_iter().max()
    }

    /// The same model with one RoPE for all layers that rotate.
    #[must_use]
    pub fn with_shared_rope(mut self) -> Self {
        self.shares_rope = true;
        self.local_rope = None;
        for rotation in &mut self.layout.rotations {
            if *rotation == Rotation::Local {
                *rotation = Rotation::Main;
            }
        }
        self
    }

    /// Widths of all query heads, and of all key heads.
    fn head_widths(&self) -> (usize, usize) {
        (
            self.n_heads.saturating_mul(self.head_dim),
            self.n_kv_heads.saturating_mul(self.head_dim),
        )
    }

    /// Name and shape of every tensor that a checkpoint must contain, in the order of computation.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = vec![(
            EMBEDDING_WEIGHT.to_owned(),
            vec![self.vocab_size, self.hidden_size],
        )];
        for layer_idx in 0..self.n_layers {
            let at = |name: &str| layer_module(layer_idx, name);
            let attention = self.attention_maps();
            let mut maps: Vec<_> = attention
                .iter()
                .flat_map(|m| map_tensors(None, m))
                .collect();
            match self.layout.experts_of(layer_idx) {
                Some(experts) => maps.extend(self.expert_tensors(experts)),
                None => maps.extend(self.mlp_maps().iter().flat_map(|m| map_tensors(None, m))),
            }
            list.extend(maps.into_iter().map(|(name, shape)| (at(&name), shape)));
            if self.layout.attention.sinks {
                list.push((at(SINKS), vec![self.n_heads]));
            }
            let heads = self.head_norms().into_iter().flatten();
            let stream = self.stream_norms().into_iter().flatten();
            for norm in heads.chain(stream) {
                push_norm(&mut list, &at(norm.name), &norm);
            }
        }
        let last = self.stream_norm(self.layout.names.norm);
        push_norm(&mut list, &format!("model.{}", last.name), &last);
        if !self.tied_embeddings {
            list.push((
                HEAD_WEIGHT.to_owned(),
                vec![self.vocab_size, self.hidden_size],
            ));
        }
        if self.layout.biases.head {
            list.push((format!("{HEAD}.bias"), vec![self.vocab_size]));
        }
        list
    }

    /// Total number of parameters; `usize::MAX` if there are more.
    pub fn n_parameters(&self) -> usize {
        self.parameters_where(|_| true)
    }

    /// Number of parameters outside the layers: of embeddings, last normalization and head.
    pub(crate) fn parameters_of_ends(&self) -> usize {
        self.parameters_where(|name| layer_of(name).is_none())
    }

    fn parameters_where(&self, counts: impl Fn(&str) -> bool) -> usize {
        let product = |shape: &[usize]| shape.iter().copied().fold(1, usize::saturating_mul);
        self.tensors()
            .iter()
            .filter(|(name, _)| counts(name))
            .map(|(_, shape)| product(shape))
            .fold(0, usize::saturating_add)
    }
}

/// Name of the sinks of a layer.
pub(crate) const SINKS: &str = "self_attn.sinks";

/// Names and shapes of the tensors of a linear map, below a module.
pub(crate) fn map_tensors(parent: Option<&str>, map: &MapShape) -> Vec<(String, Vec<usize>)> {
    let name = match parent {
        Some(parent) => format!("{parent}.{}", map.name),
        None => map.name.to_owned(),
    };
    let mut list = vec![(format!("{name}.weight"), vec![map.rows, map.columns])];
    if map.bias {
        list.push((format!("{name}.bias"), vec![map.rows]));
    }
    list
}

fn push_norm(list: &mut Vec<(String, Vec<usize>)>, name: &str, norm: &NormShape) {
    list.push((format!("{name}.weight"), vec![norm.width]));
    if norm.kind == (NormKind::Layer { bias: true }) {
        list.push((format!("{name}.bias"), vec![norm.width]));
    }
}
