//! The measurements of a run in text, for model cards.

use longrope_eval::{PplProtocol, PplResult, TaskResult, is_in_nats};

use super::data::RunReport;
use super::evaluations::interval;
use super::numbers::{nats_interval, percent, ppl_interval};
use crate::show::output;

/// One measurement in text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Measurement<'a> {
    /// The model, as the results name it; empty in files of version 0.1.
    pub(crate) model: &'a str,
    pub(crate) rope: &'a str,
    /// Tokens.
    pub(crate) context: usize,
    /// What was measured and how: `passkey: accuracy (teacher-forced)`.
    pub(crate) what: String,
    pub(crate) result: String,
    /// The 95% interval; a dash if there are too few windows or trials for one.
    pub(crate) interval: String,
    /// What the interval is over: `8 windows`.
    pub(crate) n: String,
}

/// All perplexities and the main metrics of all tasks, in the order of the files.
pub(crate) fn measurements(report: &RunReport) -> Vec<Measurement<'_>> {
    let mut all = Vec::new();
    for evaluation in report.parts().flat_map(|part| &part.evaluations) {
        let source = evaluation.source.as_ref();
        let model = source.map_or("", |source| source.model.as_str());
        let perplexities = evaluation.perplexities.iter();
        all.extend(perplexities.map(|result| of_text(model, result)));
        all.extend(evaluation.tasks.iter().map(|result| of_task(model, result)));
    }
    all
}

fn of_text<'a>(model: &'a str, result: &'a PplResult) -> Measurement<'a> {
    let stride = if result.stride == result.context {
        String::new()
    } else {
        format!(", stride {}", output::grouped(result.stride))
    };
    let n = match result.protocol {
        PplProtocol::LlamaCpp => output::counted(result.n_tokens, "token"),
        PplProtocol::Longrope | PplProtocol::Yarn | PplProtocol::Truncate => {
            output::counted(result.n_windows, "window")
        }
    };
    Measurement {
        model,
        rope: &result.rope,
        context: result.context,
        what: format!("perplexity (protocol {}{stride})", result.protocol),
        result: output::perplexity(result.reported_ppl()),
        interval: ppl_interval(result),
        n,
    }
}

fn of_task<'a>(model: &'a str, result: &'a TaskResult) -> Measurement<'a> {
    let (metric, n) = (&result.metric, result.n);
    let (value, interval, unit) = if is_in_nats(&result.task) {
        let value = format!("{:+.4} nats/token", metric.value);
        (value, nats_interval(metric, n, 1.0), "window")
    } else {
        (percent(metric.value, n), interval(metric, n), "trial")
    };
    Measurement {
        model,
        rope: &result.rope,
        context: result.context,
        what: format!("{}: {} ({})", result.task, metric.name, result.protocol),
        result: value,
        interval,
        n: output::counted(n, unit),
    }
}

#[cfg(test)]
mod tests {
    use longrope_eval::MetricValue;

    use super::*;
    use crate::show::report::data::Evaluation;

    #[test]
    fn measurements_say_how_many_and_how_certain() {
        let ppl = PplResult {
            rope: "rope.json".to_owned(),
            context: 1024,
            stride: 1024,
            n_windows: 4,
            nll_nats: 2.0,
            stderr_nats: Some(0.1),
            ppl: 2.0_f64.exp(),
            ..PplResult::default()
        };
        let passkey = TaskResult {
            task: "passkey".to_owned(),
            rope: "yarn".to_owned(),
            context: 2048,
            n: 20,
            metric: MetricValue {
                name: "accuracy".to_owned(),
                value: 0.8,
                interval: Some([0.584, 0.9193]),
                ..MetricValue::default()
            },
            protocol: "teacher-forced".to_owned(),
            ..TaskResult::default()
        };
        let report = RunReport {
            evaluations: vec![Evaluation {
                file: "eval/all.json".to_owned(),
                source: None,
                perplexities: vec![ppl],
                tasks: vec![passkey],
                effective_lengths: Vec::new(),
            }],
            ..RunReport::default()
        };
        let text = |it: &Measurement<'_>| {
            let parts = [&it.what, &it.result, &it.interval, &it.n];
            parts.map(String::as_str).join(" | ")
        };
        let found: Vec<String> = measurements(&report).iter().map(text).collect();
        assert_eq!(
            found,
            [
                // Four windows: 3.182 standard errors.
                "perplexity (protocol longrope) | 7.389 | 5.375 to 10.158 | 4 windows",
                "passkey: accuracy (teacher-forced) | 80% | 58 to 92% | 20 trials",
            ]
        );
    }

    #[test]
    fn the_interval_of_llama_cpp_is_over_tokens() {
        let result = PplResult {
            n_windows: 4,
            n_tokens: 2048,
            protocol: PplProtocol::LlamaCpp,
            ..PplResult::default()
        };
        assert_eq!(of_text("m", &result).n, "2,048 tokens");
    }
}
