//! Chooses the operator that makes the next candidate.

use rand_chacha::ChaCha8Rng;

use crate::bend::{bend, difference};
use crate::candidate::Candidate;
use crate::config::{Operators, SearchConfig};
use crate::operators::{chance, crossover, mutate, pick, pick_two};
use crate::space::Space;
use crate::{critical, official};

/// What the operators of a search need in addition to parents.
#[derive(Clone, Copy)]
pub(crate) struct Breeder<'a> {
    pub(crate) space: &'a Space,
    pub(crate) config: &'a SearchConfig,
    /// Target over original context.
    pub(crate) scale: f64,
}

impl Breeder<'_> {
    /// A member of the first population that is not a seed.
    pub(crate) fn first(
        &self,
        index: usize,
        seeds: &[Candidate],
        rng: &mut ChaCha8Rng,
        known: &dyn Fn(&Candidate) -> bool,
    ) -> Candidate {
        match self.space.critical() {
            Some(critical) => critical::draw(pick(seeds, rng), index, self.space, critical, rng),
            None => self.mutant(seeds, rng, known),
        }
    }

    /// A mutant of one of the parents.
    pub(crate) fn mutant(
        &self,
        parents: &[Candidate],
        rng: &mut ChaCha8Rng,
        known: &dyn Fn(&Candidate) -> bool,
    ) -> Candidate {
        self.mutate(pick(parents, rng), rng, known)
    }

    /// A child of two of the parents; `parents` is ordered from best to worst.
    pub(crate) fn child(
        &self,
        parents: &[Candidate],
        rng: &mut ChaCha8Rng,
        known: &dyn Fn(&Candidate) -> bool,
    ) -> Candidate {
        let [only] = parents else {
            return self.child_of_several(parents, rng, known);
        };
        self.mutate(only, rng, known)
    }

    fn mutate(
        &self,
        parent: &Candidate,
        rng: &mut ChaCha8Rng,
        known: &dyn Fn(&Candidate) -> bool,
    ) -> Candidate {
        let Self {
            space,
            config,
            scale,
        } = *self;
        match (config.operators, space.critical()) {
            (Operators::DimMono | Operators::DimPieceMono, _) => {
                official::mutate(parent, space, config, scale, rng, known).0
            }
            (Operators::Critical, Some(critical)) => {
                critical::mutate(parent, space, critical, config, rng)
            }
            _ if config.smooth_share > 0.0 && chance(config.smooth_share, rng) => {
                bend(parent, space, rng)
            }
            _ => mutate(parent, space, config, rng),
        }
    }

    fn child_of_several(
        &self,
        parents: &[Candidate],
        rng: &mut ChaCha8Rng,
        known: &dyn Fn(&Candidate) -> bool,
    ) -> Candidate {
        let Self { space, config, .. } = *self;
        let [a, b] = pick_two(parents, rng);
        match (config.operators, space.critical()) {
            (Operators::DimMono | Operators::DimPieceMono, _) => {
                let place = |one: &Candidate| parents.iter().position(|parent| parent == one);
                let (better, worse) = if place(a) < place(b) { (a, b) } else { (b, a) };
                official::crossover(better, worse, config, rng, known)
                    .unwrap_or_else(|| self.mutate(better, rng, known))
            }
            (Operators::Critical, Some(critical)) => critical::crossover(a, b, critical, rng),
            _ if config.difference_share > 0.0 && chance(config.difference_share, rng) => {
                difference(pick(parents, rng), a, b, space, rng)
            }
            _ => crossover(a, b, space, config, rng),
        }
    }
}
