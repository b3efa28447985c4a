//! Burn's dashboard, which is left alone when its terminal is closed.

use std::error::Error;
use std::sync::{Once, OnceLock};
use std::time::Duration;

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use burn::train::{Interrupter, LearnerSummary};

use super::terminals::Terminals;

/// The name that Burn gives to the thread of its dashboard.
const DRAWING_THREAD: &str = "train-renderer";

/// Burn's dashboard until the terminal is closed, and nothing from then on.
///
/// On a closed terminal, Burn's thread reads keys without end, or panics twice because it cannot draw, which would end the
/// program before anything is saved. So the thread is kept from unwinding, nobody waits for it, and the training is asked
/// to stop.
pub(super) struct BurnDashboard {
    burn: Option<TuiMetricsRendererWrapper>,
    interrupter: Interrupter,
}

impl BurnDashboard {
    /// Opens Burn's dashboard.
    pub(super) fn open(interrupter: &Interrupter) -> Self {
        AT_START.get_or_init(drawing_terminals);
        hold_drawing_of_closed_terminals();
        Self {
            burn: Some(TuiMetricsRendererWrapper::new(interrupter.clone(), None)),
            interrupter: interrupter.clone(),
        }
    }

    /// Burn's dashboard, unless the terminal was closed.
    fn burn(&mut self) -> Option<&mut TuiMetricsRendererWrapper> {
        self.leave_if_closed();
        self.burn.as_mut()
    }

    fn leave_if_closed(&mut self) {
        if !has_hung_up() {
            return;
        }
        if let Some(burn) = self.burn.take() {
            self.interrupter.stop(Some("the terminal was closed"));
            // Its destructor would wait for the thread.
            std::mem::forget(burn);
        }
    }
}

impl Drop for BurnDashboard {
    fn drop(&mut self) {
        self.leave_if_closed();
        // Burn waits for nothing then.
        if std::thread::panicking() {
            return;
        }
        if let Some(burn) = self.burn.take() {
            // Burn waits for its thread, which never ends if the terminal is closed meanwhile.
            let closing = std::thread::spawn(move || drop(burn));
            while !closing.is_finished() && !has_hung_up() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Whether stdin and stdout were terminals when the first dashboard was opened.
static AT_START: OnceLock<Terminals> = OnceLock::new();

/// The terminals that Burn's thread reads keys from and draws on. Stderr is not one of them.
fn drawing_terminals() -> Terminals {
    Terminals {
        stderr: false,
        ..Terminals::now()
    }
}

/// Whether one of them was closed since.
fn has_hung_up() -> bool {
    let at_start = AT_START.get();
    at_start.is_some_and(|at_start| at_start.one_is_closed(drawing_terminals()))
}

/// Lets the thread that draws wait for ever where it would unwind from a panic on a closed terminal.
fn hold_drawing_of_closed_terminals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_drawing = std::thread::current().name() == Some(DRAWING_THREAD);
            while is_drawing && has_hung_up() {
                std::thread::park();
            }
            before(info);
        }));
    });
}

impl MetricsRendererTraining for BurnDashboard {
    fn update_train(&mut self, state: MetricState) {
        if let Some(burn) = self.burn() {
            burn.update_train(state);
        }
    }

    fn update_valid(&mut self, state: MetricState) {
        if let Some(burn) = self.burn() {
            burn.update_valid(state);
        }
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        match self.burn() {
            Some(burn) => burn.on_train_end(summary),
            None => Ok(()),
        }
    }
}

impl MetricsRendererEvaluation for BurnDashboard {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        if let Some(burn) = self.burn() {
            burn.update_test(name, state);
        }
    }

    fn on_test_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        match self.burn() {
            Some(burn) => burn.on_test_end(summary),
            None => Ok(()),
        }
    }
}

impl TrainingProgressLogger for BurnDashboard {
    fn start(
        &mut self,
        total_epochs: usize,
        starting_epoch: usize,
        total_items: Option<usize>,
        label: Option<&str>,
    ) {
        if let Some(burn) = self.burn() {
            burn.start(total_epochs, starting_epoch, total_items, label);
        }
    }

    fn update_epoch(&mut self, epoch: usize) {
        if let Some(burn) = self.burn() {
            burn.update_epoch(epoch);
        }
    }

    fn start_split(&mut self, split: &str, total_items: usize) {
        if let Some(burn) = self.burn() {
            burn.start_split(split, total_items);
        }
    }

    fn update_split(&mut self, items_processed: usize) {
        if let Some(burn) = self.burn() {
            burn.update_split(items_processed);
        }
    }

    fn end_split(&mut self) {
        if let Some(burn) = self.burn() {
            burn.end_split();
        }
    }

    fn end(&mut self) {
        if let Some(burn) = self.burn() {
            burn.end();
        }
    }

    fn log_event_training(&mut self, event: String) {
        if let Some(burn) = self.burn() {
            burn.log_event_training(event);
        }
    }
}

impl EvaluationProgressLogger for BurnDashboard {
    fn start_global_progress(&mut self, total_tests: usize) {
        if let Some(burn) = self.burn() {
            burn.start_global_progress(total_tests);
        }
    }

    fn start_test(&mut self, name: &str, total_items: usize) {
        if let Some(burn) = self.burn() {
            burn.start_test(name, total_items);
        }
    }

    fn update_test_progress(&mut self, items_processed: usize) {
        if let Some(burn) = self.burn() {
            burn.update_test_progress(items_processed);
        }
    }

    fn end_test(&mut self) {
        if let Some(burn) = self.burn() {
            burn.end_test();
        }
    }

    fn end_global_progress(&mut self) {
        if let Some(burn) = self.burn() {
            burn.end_global_progress();
        }
    }

    fn log_event_evaluation(&mut self, event: String) {
        if let Some(burn) = self.burn() {
            burn.log_event_evaluation(event);
        }
    }
}

impl MetricsRenderer for BurnDashboard {
    fn manual_close(&mut self) {
        if let Some(burn) = self.burn() {
            burn.manual_close();
        }
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        if let Some(burn) = self.burn() {
            burn.register_metric(definition);
        }
    }
}
