//! The loop under Burn: what is called when.

use std::sync::{Arc, Mutex};

use longrope_model::Trained;
use longrope_trainer::{Ending, Error, Hooks, Screen, Session, Trainer};

use crate::support::{batches, config, decoder, train_to};

/// What happened, in order.
type Events = Arc<Mutex<Vec<String>>>;

fn session(events: &Events, first: usize, stop_at: Option<usize>) -> Session {
    let mut trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    train_to(&mut trainer, first);
    let note = |events: &Events| {
        let events = Arc::clone(events);
        move |event: String| events.lock().unwrap().push(event)
    };
    let (on_step, on_eval, on_save) = (note(events), note(events), note(events));
    let model = trainer.decoder().clone();
    let mut step = first;
    let stop = Arc::clone(events);
    Session {
        trainer,
        hooks: Hooks {
            next: Box::new(move || {
                step += 1;
                Ok(batches(&model, step - 1))
            }),
            on_step: Box::new(move |timed| {
                on_step(format!("step {}", timed.report.step));
                Ok(())
            }),
            evaluate: Box::new(move |_, n_steps, context| {
                on_eval(format!("eval {context} after {n_steps}"));
                Ok(1.0)
            }),
            save: Box::new(move |trainer| {
                on_save(format!("save {}", trainer.n_steps()));
                Ok(())
            }),
            should_stop: Box::new(move || {
                let step = stop_at.map(|step| format!("step {step}"));
                step.is_some_and(|step| stop.lock().unwrap().contains(&step))
            }),
        },
        total_steps: 5,
        eval_every: 2,
        contexts: vec![16, 32],
        due: Vec::new(),
        save_every: 3,
        screen: Screen::Nothing,
        label: "test".to_owned(),
    }
}

fn taken(events: &Events) -> Vec<String> {
    std::mem::take(&mut *events.lock().unwrap())
}

#[test]
fn steps_measurements_and_saves_come_in_order() {
    let events = Events::default();
    let (trainer, ending) = session(&events, 0, None).run().unwrap();
    assert_eq!((trainer.n_steps(), ending), (5, Ending::Done));
    let expected = "step 1,step 2,eval 16 after 2,eval 32 after 2,step 3,save 3,step 4,\
                    eval 16 after 4,eval 32 after 4,step 5,eval 16 after 5,eval 32 after 5,save 5";
    assert_eq!(taken(&events).join(","), expected);
}

#[test]
fn a_resumed_session_measures_where_it_would_have() {
    let events = Events::default();
    session(&events, 3, None).run().unwrap();
    let expected = "step 4,eval 16 after 4,eval 32 after 4,step 5,eval 16 after 5,\
                    eval 32 after 5,save 5";
    assert_eq!(taken(&events).join(","), expected);
}

#[test]
fn a_measurement_that_was_cut_is_taken_before_the_next_step() {
    let events = Events::default();
    let mut resumed = session(&events, 4, None);
    resumed.due = vec![32];
    resumed.run().unwrap();
    let expected = "eval 32 after 4,step 5,eval 16 after 5,eval 32 after 5,save 5";
    assert_eq!(taken(&events).join(","), expected);
    // After the last step too, of which there is a state already.
    let mut resumed = session(&events, 5, None);
    resumed.due = vec![16, 32];
    resumed.run().unwrap();
    assert_eq!(taken(&events).join(","), "eval 16 after 5,eval 32 after 5");
}

#[test]
fn a_state_that_was_read_is_not_written_again() {
    let events = Events::default();
    let (trainer, ending) = session(&events, 5, None).run().unwrap();
    assert_eq!((trainer.n_steps(), ending), (5, Ending::Done));
    assert_eq!(taken(&events), [""; 0]);
    // Nor if the next step fails.
    let mut failing = session(&events, 3, None);
    failing.hooks.next = Box::new(|| Err("no text".into()));
    failing.run().unwrap_err();
    assert_eq!(taken(&events), [""; 0]);
}

#[test]
fn a_user_who_stops_gets_a_saved_state() {
    let events = Events::default();
    let (trainer, ending) = session(&events, 0, Some(1)).run().unwrap();
    assert_eq!((trainer.n_steps(), ending), (1, Ending::Interrupted));
    assert_eq!(taken(&events).join(","), "step 1,save 1");
}

#[test]
fn the_error_of_a_hook_ends_the_run() {
    let events = Events::default();
    let mut failing = session(&events, 0, None);
    failing.hooks.evaluate = Box::new(|_, _, _| Err("no text".into()));
    let error = failing.run().unwrap_err();
    assert!(matches!(error, Error::Hook(_)), "{error}");
    assert_eq!(error.to_string(), "no text");
    assert_eq!(taken(&events).join(","), "step 1,step 2,save 2");
}
