//! Shows a running search as a progress bar or a dashboard.

use std::io::IsTerminal;
use std::time::Instant;

use anyhow::Result;
use indicatif::ProgressBar;
use longrope_extend::pool::CallStatus;
use longrope_extend::{Calibration, Interrupt, MethodLoss, SearchEvent};
use longrope_search::{Search, TargetRope, factor_curves};

use crate::show::output;
use crate::show::quantity::Quantity;
use crate::show::tui::{Dashboard, Method, Standing};
use crate::show::{search_figures, search_table};
use crate::terminal::progress;

/// Shows one or more consecutive searches and writes their plots at the end of each.
pub(crate) struct SearchView {
    profile: &'static str,
    /// Opened before the search, so that problems with the terminal are errors before it starts.
    dashboard: Option<Dashboard>,
    shown: Option<Shown>,
    /// The first error of writing plots.
    plots: Result<()>,
}

/// One search on the screen.
struct Shown {
    display: Display,
    count: Count,
    target: TargetRope,
    quantity: Quantity,
}

enum Display {
    Bar(ProgressBar),
    Spinner(ProgressBar),
    Dashboard(Box<Dashboard>, Box<Standing>),
}

/// Numbers of measured losses, including those from the cache of known candidates.
#[derive(Clone, Copy)]
struct Count {
    n_samples: usize,
    planned: usize,
    /// Losses up to the end of the last generation.
    finished: usize,
    /// Losses in the finished calls of this generation.
    answered: usize,
    /// When this process started to count, and the count at that time.
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

    /// Remaining time at the speed so far, seconds.
    fn eta_secs(&self, now: usize) -> Option<f64> {
        let done = now.saturating_sub(self.at_first);
        let left = self.planned.saturating_sub(now);
        (done > 0).then(|| self.since.elapsed().as_secs_f64() * left as f64 / done as f64)
    }
}

/// Number of candidates that have a score or failed.
fn finished(search: &Search) -> usize {
    let progress = search.progress();
    progress.evaluations + progress.memo_hits
}

/// Number of losses that racing saved.
fn n_saved(search: &Search, n_samples: usize) -> usize {
    let progress = search.progress();
    (progress.evaluations * n_samples).saturating_sub(progress.sample_evaluations)
}

/// The share of losses that racing saved, as text; empty if it saved none.
fn saved_share(search: &Search, n_samples: usize) -> String {
    let saved = n_saved(search, n_samples);
    if saved == 0 {
        return String::new();
    }
    let all = search.progress().evaluations * n_samples;
    format!(", {:.0}% saved", 100.0 * saved as f64 / all as f64)
}

impl SearchView {
    /// Opens the dashboard if there is to be one. Otherwise there is a progress bar, which is hidden without a terminal.
    pub(crate) fn open(
        profile: &'static str,
        dashboard: bool,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        Ok(Self {
            profile,
            dashboard: dashboard.then(|| Dashboard::open(interrupt)).transpose()?,
            shown: None,
            plots: Ok(()),
        })
    }

    /// Whether the losses of the methods are shown from the start.
    pub(crate) fn shows_methods(&self) -> bool {
        self.dashboard.is_some()
    }

    /// Shows an event.
    pub(crate) fn event(&mut self, event: &SearchEvent) {
        if let SearchEvent::Begun {
            search,
            calibration,
            target,
        } = event
        {
            let mut shown = Shown {
                count: Count::new(search, calibration.samples.len()),
                display: Display::Bar(ProgressBar::hidden()),
                target: (*target).clone(),
                quantity: Quantity::of_share(calibration.needle_share),
            };
            let adapted = calibration.adaptation.as_deref();
            let adapted = adapted.map(|adaptation| adaptation.report().to_string());
            if let Some(adapted) = &adapted {
                progress::line(adapted);
            }
            shown.display = self.display(&shown, adapted.as_deref());
            shown.follow(search);
            self.shown = Some(shown);
            return;
        }
        if let SearchEvent::Chosen { choice } = event {
            progress::line(&search_table::chosen(choice));
            return;
        }
        let Some(shown) = &mut self.shown else {
            return;
        };
        match event {
            SearchEvent::Scoring { call, planned } => shown.tick(call, *planned),
            SearchEvent::Scored { n_jobs } => shown.count.answered += n_jobs,
            SearchEvent::Methods {
                losses,
                calibration,
            } => shown.set_methods(losses, calibration),
            SearchEvent::Generation { search, .. } => shown.generation(search),
            SearchEvent::Comparing => shown.compare(),
            SearchEvent::Done { run, outcome } => {
                self.finish();
                let plots = search_figures::write(run, outcome);
                if self.plots.is_ok() {
                    self.plots = plots;
                }
            }
            _ => {}
        }
    }

    /// Ends the search on the screen. The dashboard stays open for the next one.
    fn finish(&mut self) {
        match self.shown.take().map(|shown| shown.display) {
            Some(Display::Dashboard(dashboard, _)) => self.dashboard = Some(*dashboard),
            Some(Display::Bar(bar) | Display::Spinner(bar)) => bar.finish_and_clear(),
            None => {}
        }
    }

    /// Closes the dashboard and restores the terminal.
    ///
    /// # Errors
    /// If a plot could not be written.
    pub(crate) fn close(mut self) -> Result<()> {
        self.finish();
        if let Some(mut dashboard) = self.dashboard.take() {
            dashboard.close();
        }
        self.plots
    }

    fn display(&mut self, shown: &Shown, adapted: Option<&str>) -> Display {
        let Some(dashboard) = self.dashboard.take() else {
            let bar = progress::bar("searching", shown.count.planned as u64);
            bar.set_position(shown.count.finished as u64);
            bar.reset_eta();
            return Display::Bar(bar);
        };
        let title = format!(
            "LongRoPE search, {} to {} tokens, profile {}{}",
            output::grouped(shown.target.base().original_context),
            output::grouped(shown.target.target()),
            self.profile,
            adapted.map_or_else(String::new, |adapted| format!(", {adapted}"))
        );
        let standing = Standing::new(title, shown.quantity);
        Display::Dashboard(Box::new(dashboard), Box::new(standing))
    }
}

impl Shown {
    fn set_methods(&mut self, losses: &[MethodLoss], calibration: &Calibration) {
        if let Display::Dashboard(_, standing) = &mut self.display {
            let method = |loss: &MethodLoss| Method {
                name: loss.method.clone(),
                score: calibration.score(loss),
                text_nats: loss.nll_nats,
                passkeys: loss.passkey_accuracy,
            };
            standing.methods = losses.iter().map(method).collect();
        }
        self.count.since = Instant::now();
    }

    /// Shows progress. Only losses of candidates are `planned`; others are measured for comparison.
    fn tick(&mut self, status: &CallStatus, planned: bool) {
        let n_answered = if planned { status.n_answered } else { 0 };
        let now = self.count.finished + self.count.answered + n_answered;
        match &mut self.display {
            Display::Bar(bar) => bar.set_position(now as u64),
            Display::Spinner(spinner) => spinner.tick(),
            Display::Dashboard(dashboard, standing) => {
                standing.workers.clear();
                standing.workers.extend_from_slice(status.workers);
                standing.done = now;
                standing.eta_secs = self.count.eta_secs(now);
                dashboard.show(standing);
            }
        }
    }

    fn compare(&mut self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
            let spinner = progress::spinner("scoring the methods on the same samples");
            self.display = Display::Spinner(spinner);
        }
    }

    /// Shows the end of a generation: on a terminal in the bar or the dashboard, otherwise as a line.
    fn generation(&mut self, search: &Search) {
        self.count.finished = finished(search) * self.count.n_samples;
        self.count.answered = 0;
        self.count.planned = search.progress().planned * self.count.n_samples;
        self.follow(search);
        if let Display::Bar(_) = self.display
            && !std::io::stderr().is_terminal()
        {
            progress::line(&self.generation_line(search));
        }
    }

    /// `generation 3/40: best loss 3.2710 (yarn 3.3021), 12% saved, about 4 min left`
    fn generation_line(&self, search: &Search) -> String {
        let state = search.state();
        let best = search.best().map_or_else(String::new, |best| {
            format!(": {}", message(self.quantity, best.score, search))
        });
        let left = self.count.eta_secs(self.count.finished);
        let left = left
            .filter(|secs| *secs > 0.0)
            .map_or_else(String::new, |secs| {
                format!(", about {} left", output::duration(secs))
            });
        format!(
            "generation {}/{}{best}{}{left}",
            state.history().len().saturating_sub(1),
            state.config().generations,
            saved_share(search, self.count.n_samples)
        )
    }

    fn follow(&mut self, search: &Search) {
        match &mut self.display {
            Display::Spinner(_) => {}
            Display::Bar(bar) => {
                bar.set_position(self.count.finished as u64);
                if let Some(best) = search.best() {
                    let saved = saved_share(search, self.count.n_samples);
                    bar.set_message(message(self.quantity, best.score, search) + &saved);
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
                    .map(|generation| (generation.index as f64, generation.best.score))
                    .collect();
                standing.median = history
                    .iter()
                    .filter(|generation| generation.median.is_finite())
                    .map(|generation| (generation.index as f64, generation.median))
                    .collect();
                if let Some(best) = search.best()
                    && let Ok(spec) = self.target.candidate_spec(&best.candidate)
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

/// The best score so far, with the best seed.
fn message(quantity: Quantity, best: f64, search: &Search) -> String {
    let quantity = quantity.name();
    let seeds = search.seeds().iter();
    match seeds.min_by(|a, b| a.score.total_cmp(&b.score)) {
        Some(seed) => format!(
            "best {quantity} {best:.4} ({} {:.4})",
            seed.name, seed.score
        ),
        None => format!("best {quantity} {best:.4}"),
    }
}
