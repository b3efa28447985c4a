//! Dividing the threads of this machine among the workers on its CPU.

/// How many of `n_threads` threads each worker gets, given which of them are on this machine's CPU.
///
/// `None` for a worker that need not share: it is on another device, or alone on the CPU.
pub fn thread_shares(is_on_cpu: &[bool], n_threads: usize) -> Vec<Option<usize>> {
    let n_sharing = is_on_cpu.iter().filter(|is_on_cpu| **is_on_cpu).count();
    let mut n_before = 0;
    let share = |is_on_cpu: &bool| {
        if !is_on_cpu || n_sharing < 2 {
            return None;
        }
        let share = n_threads / n_sharing + usize::from(n_before < n_threads % n_sharing);
        n_before += 1;
        Some(share.max(1))
    };
    is_on_cpu.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_several_workers_on_the_cpu_share_its_threads() {
        let shares = |is_on_cpu: &[bool]| thread_shares(is_on_cpu, 8);
        assert_eq!(shares(&[true, false]), [None, None]);
        assert_eq!(
            shares(&[true, false, true, true]),
            [Some(3), None, Some(3), Some(2)]
        );
        assert_eq!(thread_shares(&[true; 3], 2), [Some(1); 3]);
    }
}
