//! GPUs: CubeK's flash attention where it is exact enough, else the composed bodies.

use burn::backend::Cube;

use super::Kernels;

impl Kernels for Cube {}
