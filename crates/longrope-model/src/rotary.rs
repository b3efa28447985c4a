//! The rotation angles of a sequence, on the device.

use burn::tensor::{DType, Device, Tensor, TensorData};
use longrope_kernels::{rotate_half, rotate_interleaved};
use longrope_rope::{Angles, Pairs, ResolvedRope, RopeSpec, Rotation, SelfExtend};

/// Cosines and sines of positions `0..n_positions` for one resolved RoPE, and for the RoPE that some layers have of
/// their own.
///
/// Computed on the host in `f64` and uploaded once. All layers share the tables, and so can all sequences with the same
/// resolved RoPE. Cloning is cheap. [`Decoder::rotary`](crate::Decoder::rotary) makes one.
#[derive(Clone, Debug)]
pub struct Rotary {
    main: Table,
    local: Option<Table>,
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
}

impl Rotary {
    /// Computes the tables and uploads them. `local` is the RoPE of layers that have one of their own.
    pub(crate) fn new(
        rope: &ResolvedRope,
        local: Option<&RopeSpec>,
        n_positions: usize,
        device: &Device,
    ) -> Self {
        let table = |rope: &ResolvedRope| Table::new(rope.angles(0..n_positions), device);
        let far_angles = rope.self_extend().zip(rope.far_angles(n_positions));
        let far = far_angles.map(|(grouping, angles)| {
            let of = |angles| Self {
                main: Table::new(angles, device),
                local: None,
                n_positions,
                far: None,
            };
            Box::new(Far {
                grouping,
                queries: of(angles.queries),
                keys: of(angles.keys),
            })
        });
        Self {
            main: table(rope),
            local: local.map(|local| table(&local.resolve(n_positions))),
            n_positions,
            far,
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

    /// Rotates heads as a layer does; their first row is at position `start`.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, heads, seq, head_dim]`
    pub(crate) fn apply(
        &self,
        x: Tensor<4>,
        start: usize,
        (rotation, pairs): (Rotation, Pairs),
    ) -> Tensor<4> {
        let table = match rotation {
            Rotation::None => return x,
            Rotation::Main => &self.main,
            // A config names such layers only together with their RoPE.
            Rotation::Local => self.local.as_ref().unwrap_or(&self.main),
        };
        let [_, _, seq, _] = x.dims();
        let wide = |table: &Tensor<2>| {
            let rows = table.clone().narrow(0, start, seq);
            match x.dtype() {
                DType::F64 => rows.cast(DType::F64),
                _ => rows,
            }
        };
        let (cos, sin) = (wide(&table.cos), wide(&table.sin));
        match pairs {
            Pairs::Halves => rotate_half(x, cos, sin),
            Pairs::Interleaved => rotate_interleaved(x, cos, sin),
        }
    }
}
