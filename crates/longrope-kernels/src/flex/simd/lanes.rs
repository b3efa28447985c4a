//! Independent accumulators, and their sums.

/// Number of independent accumulators: two AVX-512 registers, or four AVX2 registers.
pub(super) const LANES: usize = 32;

/// `a · b + c`, fused if the target has an instruction for that. Without one, `mul_add` would be a slow function call.
#[inline(always)]
pub(in crate::flex) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// The sum of accumulators, by halves: one after the other they would wait for each other longer than some rows take.
#[inline(always)]
pub(super) fn total(lanes: [f32; LANES]) -> f32 {
    total_of_half(std::array::from_fn(|i| lanes[i] + lanes[i + LANES / 2]))
}

/// The same for half as many. In fixed steps, because a loop over halves that shrink is not vectorized.
#[inline(always)]
pub(super) fn total_of_half(lanes: [f32; LANES / 2]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| lanes[i] + lanes[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}
