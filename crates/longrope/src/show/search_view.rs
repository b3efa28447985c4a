//! What a search shows while it runs: a bar, or a dashboard.

use std::time::Instant;

use anyhow::Result;
use indicatif::ProgressBar;
use longrope_search::{Search, TargetRope, factor_curves};

use crate::calibration::Calibration;
use crate::pool::CallStatus;
use crate::retrieval::MethodLoss;
use crate::search_run::SearchSetting;
use crate::show::tui::{Dashboard, Standing};
use crate::show::{output, progress};
use crate::signals::Interrupt;

/// Follows a search and shows how far it is.
pub(crate) struct SearchView {
    display: Display,
    count: Count,
    rope: TargetRope,
}

enum Display {
    Bar(ProgressBar),
    Dashboard(Box<Dashboard>, Box<Standing>),
}

/// Losses, those that were known already included.
#[derive(Clone, Copy)]
struct Count {
    n_samples: usize,
    planned: usize,
    /// Up to the last finished generation.
    finished: usize,
    /// In the calls of this generation that are over.
    answered: usize,
    /// When this program began to count, and with what.
    since: Instant,
    at_first: usize,
}

impl Count {
    fn new(search: &Search, n_samples: usize) -> Self {
        let finished = finished(search) * n_samples;
        Self {
            n_samples,
            planned: search.progress().planned * n_samples,
            finished,
            answered: 0,
            since: Instant::now(),
            at_first: finished,
        }
    }

    /// Seconds that are left if it goes on like this.
    fn eta_secs(&self, now: usize) -> Option<f64> {
        let done = now.saturating_sub(self.at_first);
        let left = self.planned.saturating_sub(now);
        (done > 0).then(|| self.since.elapsed().as_secs_f64() * left as f64 / done as f64)
    }
}

/// Candidates that are dealt with.
fn finished(search: &Search) -> usize {
    let progress = search.progress();
    progress.evaluations + progress.memo_hits
}

/// Losses that did not have to be measured because a race ended before.
fn n_saved(search: &Search, n_samples: usize) -> usize {
    let progress = search.progress();
    (progress.evaluations * n_samples).saturating_sub(progress.sample_evaluations)
}

/// What share that is of what there would have been, as text; nothing if it is none.
fn saved_share(search: &Search, n_samples: usize) -> String {
    let saved = n_saved(search, n_samples);
    if saved == 0 {
        return String::new();
    }
    let all = search.progress().evaluations * n_samples;
    format!(", {:.0}% saved", 100.0 * saved as f64 / all as f64)
}

impl SearchView {
    /// A dashboard if it is wanted and there is a terminal for it, else a bar, which shows itself
    /// only on a terminal too.
    pub(crate) fn open(
        setting: &SearchSetting,
        search: &Search,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let count = Count::new(search, setting.calibration.samples.len());
        let dashboard = if setting.tui {
            Dashboard::open(interrupt)?
        } else {
            None
        };
        let rope = setting.rope;
        let display = match dashboard {
            None => Display::bar(&count),
            Some(dashboard) => {
                let title = format!(
                    "LongRoPE search, {} to {} tokens, profile {}",
                    output::grouped(rope.base().original_context),
                    output::grouped(rope.target()),
                    setting.profile
                );
                Display::Dashboard(Box::new(dashboard), Box::new(Standing::new(title)))
            }
        };
        let mut view = Self {
            display,
            count,
            rope: rope.clone(),
        };
        view.follow(search);
        Ok(view)
    }

    /// Shows nothing at all.
    #[cfg(test)]
    pub(crate) fn hidden(setting: &SearchSetting, search: &Search) -> Self {
        Self {
            display: Display::Bar(ProgressBar::hidden()),
            count: Count::new(search, setting.calibration.samples.len()),
            rope: setting.rope.clone(),
        }
    }

    /// Whether the losses of other methods are of use from the beginning.
    pub(crate) fn shows_baselines(&self) -> bool {
        matches!(self.display, Display::Dashboard(..))
    }

    pub(crate) fn set_baselines(&mut self, baselines: &[MethodLoss], calibration: &Calibration) {
        if let Display::Dashboard(_, standing) = &mut self.display {
            let pairs = baselines.iter();
            let pairs = pairs.map(|it| (it.method.clone(), calibration.score(it)));
            standing.methods = pairs.collect();
        }
        self.count.since = Instant::now();
    }

    /// Hears of the workers, and of answers that are part of the search's plan or aside of it.
    pub(crate) fn tick(&mut self, status: &CallStatus, planned: bool) {
        let n_answered = if planned { status.n_answered } else { 0 };
        let now = self.count.finished + self.count.answered + n_answered;
        match &mut self.display {
            Display::Bar(bar) => bar.set_position(now as u64),
            Display::Dashboard(dashboard, standing) => {
                standing.workers.clear();
                standing.workers.extend_from_slice(status.workers);
                standing.done = now;
                standing.eta_secs = self.count.eta_secs(now);
                dashboard.show(standing);
            }
        }
    }

    /// A call with so many jobs is over.
    pub(crate) fn answered(&mut self, n_jobs: usize) {
        self.count.answered += n_jobs;
    }

    /// A generation is over.
    pub(crate) fn generation(&mut self, search: &Search) {
        self.count.finished = finished(search) * self.count.n_samples;
        self.count.answered = 0;
        self.count.planned = search.progress().planned * self.count.n_samples;
        self.follow(search);
    }

    /// Gives the terminal back.
    pub(crate) fn close(&mut self) {
        match &mut self.display {
            Display::Bar(bar) => bar.finish_and_clear(),
            Display::Dashboard(dashboard, _) => dashboard.close(),
        }
    }

    fn follow(&mut self, search: &Search) {
        match &mut self.display {
            Display::Bar(bar) => {
                bar.set_position(self.count.finished as u64);
                if let Some(best) = search.best() {
                    let saved = saved_share(search, self.count.n_samples);
                    bar.set_message(message(best.score, search) + &saved);
                }
            }
            Display::Dashboard(dashboard, standing) => {
                let history = search.state().history();
                standing.generation = history.len().saturating_sub(1);
                standing.n_generations = search.state().config().generations;
                standing.done = self.count.finished;
                standing.planned = self.count.planned;
                standing.n_samples = self.count.n_samples;
                standing.n_saved = n_saved(search, self.count.n_samples);
                standing.best = history
                    .iter()
                    .map(|it| (it.index as f64, it.best.score))
                    .collect();
                standing.median = history
                    .iter()
                    .map(|it| (it.index as f64, it.median))
                    .collect();
                if let Some(best) = search.best()
                    && let Ok(spec) = self.rope.candidate_spec(&best.candidate)
                    && let Ok(curves) = factor_curves("searched", &spec)
                {
                    standing.curves = curves;
                    standing.start_tokens = best.candidate.start_tokens;
                }
                dashboard.show(standing);
            }
        }
    }
}

impl Display {
    fn bar(count: &Count) -> Self {
        let bar = progress::bar("searching", count.planned as u64);
        bar.set_position(count.finished as u64);
        bar.reset_eta();
        Self::Bar(bar)
    }
}

/// The best so far, beside the best of what the search started from.
fn message(best: f64, search: &Search) -> String {
    let seeds = search.seeds().iter();
    match seeds.min_by(|a, b| a.score.total_cmp(&b.score)) {
        Some(seed) => format!("best {best:.4} ({} {:.4})", seed.name, seed.score),
        None => format!("best {best:.4}"),
    }
}
