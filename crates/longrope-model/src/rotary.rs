//! The rotation angles of a sequence, on the device.

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor, TensorData};
use longrope_kernels::{rotate_half, rotate_interleaved};
use longrope_rope::{Angles, Pairs, ResolvedRope, RopeSpec, Rotation, SelfExtend};

use crate::config::ModelConfig;

/// Cosines and sines for one resolved RoPE, and for the RoPE that some layers have of their own: of positions
/// `0..n_positions`, or of any positions.
///
/// Computed on the host in `f64` and uploaded once. All layers share the tables, and so can all sequences with the same
/// resolved RoPE. Cloning is cheap. [`Decoder::rotary`](crate::Decoder::rotary) makes one.
#[derive(Clone, Debug)]
pub struct Rotary {
    /// One table for all sequences, or one for each.
    main: Vec<Table>,
    /// The same RoPE at positions without gaps, if those of `main` have gaps: one table for all sequences, one for each, or
    /// none.
    ///
    /// Layers with a sliding window use it: whatever the length of a text, the tokens they see are near.
    near: Vec<Table>,
    local: Option<Table>,
    /// Positions of the tokens of each sequence, if they are not `0..n_positions`.
    positions: Vec<Vec<usize>>,
    n_positions: usize,
    far: Option<Box<Far>>,
}

/// Angles of queries and keys for each other when they are far apart.
#[derive(Clone, Debug)]
pub(crate) struct Far {
    pub(crate) grouping: SelfExtend,
    pub(crate) queries: Rotary,
    pub(crate) keys: Rotary,
}

/// Cosines and sines, `[n_positions, n_pairs]`.
#[derive(Clone, Debug)]
struct Table {
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl Table {
    fn new(angles: Angles, device: &Device) -> Self {
        let shape = [angles.n_positions, angles.n_pairs];
        let upload = |values: Vec<f32>| {
            Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
        };
        Self {
            cos: upload(angles.cos),
            sin: upload(angles.sin),
        }
    }

    /// Single rows of tables, joined.
    fn of_rows(rows: &[(&Self, usize)]) -> Self {
        let joined = |part: fn(&Self) -> &Tensor<2>| {
            let rows = rows.iter();
            let rows = rows.map(|(table, row)| part(table).clone().narrow(0, *row, 1));
            Tensor::cat(rows.collect(), 0)
        };
        Self {
            cos: joined(|table| &table.cos),
            sin: joined(|table| &table.sin),
        }
    }

    fn to_device(&self, device: &Device) -> Self {
        Self {
            cos: self.cos.clone().to_device(device),
            sin: self.sin.clone().to_device(device),
        }
    }

    /// Rotates heads, `[batch, heads, seq, head_dim]`, whose first row has the angles of row `start`.
    fn rotate(&self, x: Tensor<4>, start: usize, pairs: Pairs) -> Tensor<4> {
        let [_, _, seq, _] = x.dims();
        let wide = |table: &Tensor<2>| {
            let rows = table.clone().narrow(0, start, seq);
            match x.dtype() {
                DType::F64 => rows.cast(DType::F64),
                _ => rows,
            }
        };
        let (cos, sin) = (wide(&self.cos), wide(&self.sin));
        match pairs {
            Pairs::Halves => rotate_half(x, cos, sin),
            Pairs::Interleaved => rotate_interleaved(x, cos, sin),
        }
    }
}

/// How a layer uses the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) rotation: Rotation,
    pub(crate) pairs: Pairs,
    /// Whether the layer has a sliding window.
    pub(crate) has_window: bool,
}

/// Makes the [`Rotary`] of a model without the model: [`Decoder::rotaries`](crate::Decoder::rotaries).
#[derive(Clone, Debug)]
pub struct RotaryMaker {
    local: Option<RopeSpec>,
    device: Device,
}

impl RotaryMaker {
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Self {
        Self {
            local: config.local_rope.clone(),
            device: device.clone(),
        }
    }

    /// The angles of positions `0..n_positions`.
    pub fn whole(&self, rope: &ResolvedRope, n_positions: usize) -> Rotary {
        let table = |rope: &ResolvedRope| Table::new(rope.angles(0..n_positions), &self.device);
        let far = rope.self_extend().zip(rope.far_angles(n_positions));
        let far = far.map(|(grouping, angles)| {
            let of = |angles| Rotary {
                main: vec![Table::new(angles, &self.device)],
                near: Vec::new(),
                local: None,
                positions: Vec::new(),
                n_positions,
                far: None,
            };
            Box::new(Far {
                grouping,
                queries: of(angles.queries),
                keys: of(angles.keys),
            })
        });
        Rotary {
            main: vec![table(rope)],
            near: Vec::new(),
            local: self
                .local
                .as_ref()
                .map(|local| table(&local.resolve(n_positions))),
            positions: Vec::new(),
            n_positions,
            far,
        }
    }

    /// The angles of a batch of sequences whose tokens are at the given positions, ascending within what attends to each
    /// other. Which tokens see each other is decided by their order alone, never by their positions.
    ///
    /// Layers with a sliding window are rotated as if the positions had no gaps.
    ///
    /// # Panics
    /// If `positions` is empty, or its sequences differ in length.
    pub fn at(&self, rope: &ResolvedRope, positions: Vec<Vec<usize>>) -> Rotary {
        let n_positions = positions[0].len();
        assert!(
            positions.iter().all(|row| row.len() == n_positions),
            "sequences of one length"
        );
        let whole = self.whole(rope, n_positions);
        Rotary {
            main: self.tables_at(rope, &positions),
            near: whole.main.clone(),
            positions,
            ..whole
        }
    }

    /// As [`Self::at`], for sequences of documents that do not attend to each other. Layers with a sliding window are rotated
    /// to the positions `near`, in which those of each document have no gaps.
    ///
    /// It makes a difference if the RoPE treats the first tokens of a text differently, or if queries grow with their position.
    ///
    /// # Panics
    /// As [`Self::at`], also for `near`.
    pub fn at_documents(
        &self,
        rope: &ResolvedRope,
        positions: Vec<Vec<usize>>,
        near: &[Vec<usize>],
    ) -> Rotary {
        let lengths = |rows: &[Vec<usize>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&positions), lengths(near), "the same sequences");
        Rotary {
            near: self.tables_at(rope, near),
            ..self.at(rope, positions)
        }
    }

    /// The angles of each sequence.
    fn tables_at(&self, rope: &ResolvedRope, positions: &[Vec<usize>]) -> Vec<Table> {
        let at = |row: &Vec<usize>| Table::new(rope.angles_at(row.iter().copied()), &self.device);
        positions.iter().map(at).collect()
    }
}

impl Rotary {
    /// The angles of one token of each of several sequences, given by its sequence and its position there: row `i` of
    /// the result is that of `tokens[i]`. The sequences have positions without gaps.
    ///
    /// # Panics
    /// If there are no tokens, or positions are not grouped in the same way in all sequences.
    pub(crate) fn of_tokens(tokens: &[(&Self, usize)]) -> Self {
        let (model, _) = tokens[0];
        let grouping = |rotary: &Self| rotary.far.as_ref().map(|far| far.grouping);
        assert!(
            (tokens.iter()).all(|(rotary, _)| grouping(rotary) == grouping(model)),
            "all sequences are grouped alike"
        );
        let rows = |part: fn(&Self) -> &Table| {
            let rows = tokens.iter().map(|(rotary, at)| (part(rotary), *at));
            Table::of_rows(&rows.collect::<Vec<_>>())
        };
        let far = model.far.as_ref().map(|far| {
            let of = |part: fn(&Far) -> &Self| {
                let rows = tokens.iter();
                let rows = rows.filter_map(|(it, at)| Some((part(it.far.as_deref()?), *at)));
                Self::of_tokens(&rows.collect::<Vec<_>>())
            };
            Box::new(Far {
                grouping: far.grouping,
                queries: of(|far| &far.queries),
                keys: of(|far| &far.keys),
            })
        });
        Self {
            main: vec![rows(|rotary| &rotary.main[0])],
            near: Vec::new(),
            local: model.local.as_ref().map(|_| {
                rows(|rotary| rotary.local.as_ref().expect("one model has all sequences"))
            }),
            positions: vec![tokens.iter().map(|(_, at)| *at).collect()],
            n_positions: tokens.len(),
            far,
        }
    }

    /// The same angles on another device.
    #[must_use]
    pub fn to_device(&self, device: &Device) -> Self {
        let moved = |table: &Table| table.to_device(device);
        Self {
            main: self.main.iter().map(moved).collect(),
            near: self.near.iter().map(moved).collect(),
            local: self.local.as_ref().map(moved),
            positions: self.positions.clone(),
            n_positions: self.n_positions,
            far: self.far.as_ref().map(|far| {
                Box::new(Far {
                    grouping: far.grouping,
                    queries: far.queries.to_device(device),
                    keys: far.keys.to_device(device),
                })
            }),
        }
    }

    /// The angles for far keys of layers that rotate in this way; `None` if they have no others.
    pub(crate) fn far(&self, rotation: Rotation) -> Option<&Far> {
        self.far.as_deref().filter(|_| rotation == Rotation::Main)
    }

    /// Whether some keys are rotated to grouped positions.
    pub(crate) fn is_grouped(&self) -> bool {
        self.far.is_some()
    }

    /// Number of positions in the tables.
    pub fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// The positions of the tokens `rows`: of each sequence, or one list that holds for all.
    pub(crate) fn positions(&self, rows: Range<usize>) -> Vec<Vec<usize>> {
        if self.positions.is_empty() {
            return vec![rows.collect()];
        }
        let at = |sequence: &Vec<usize>| sequence[rows.clone()].to_vec();
        self.positions.iter().map(at).collect()
    }

    /// Rotates heads as a layer does; their first row is token `start`.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, heads, seq, head_dim]`
    pub(crate) fn apply(&self, x: Tensor<4>, start: usize, turn: Turn) -> Tensor<4> {
        let pairs = turn.pairs;
        let own = match turn.rotation {
            Rotation::None => return x,
            // A config names such layers only together with their RoPE.
            Rotation::Local => self.local.as_slice(),
            Rotation::Main if turn.has_window => self.near.as_slice(),
            Rotation::Main => &[],
        };
        let tables = if own.is_empty() {
            self.main.as_slice()
        } else {
            own
        };
        if let [table] = tables {
            return table.rotate(x, start, pairs);
        }
        let sequences = tables.iter().enumerate();
        let rotated = sequences
            .map(|(row, table)| table.rotate(x.clone().narrow(0, row, 1), start, pairs))
            .collect();
        Tensor::cat(rotated, 0)
    }
}
