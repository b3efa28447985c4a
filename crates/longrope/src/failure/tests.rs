use super::*;
use anyhow::anyhow;
use longrope_eval::Error as Eval;
use longrope_extend::RunSettings;
use longrope_extend::recipe::Verb;

#[test]
fn causes_come_in_order_and_hints_last() {
    let error = anyhow!("disk on fire")
        .context("writing `a`")
        .context(Hint("pour water".into()));
    assert_eq!(
        Message::of(&error).render(),
        "error: writing `a`\n  caused by: disk on fire\nhint: pour water\n"
    );
}

#[test]
fn errors_in_a_stage_have_its_name_and_its_hint() {
    let error = Eval::StateModel { path: "s".into() };
    let stage = InStage {
        name: "keys".to_owned(),
        verb: Verb::Passkey,
        folder: "run/03-keys".into(),
    };
    let error = Error::from(error).context(stage);
    let message = Message::of(&error.context(Hint("continue".into()))).render();
    assert_eq!(
        message,
        "error: stage `keys`\n  caused by: `s` was made with another model\nhint: continue\n\
         hint: restore the model that the stage was begun with, or remove `run/03-keys`, and --resume runs the stage again \
         from its start\n"
    );
}

#[test]
fn what_is_said_of_a_stage_names_keys_and_what_is_said_of_the_recipe_flags() {
    let error = anyhow!("`--text` is missing").context(Hint("give it with --text".into()));
    let stage = InStage {
        name: "measure".to_owned(),
        verb: Verb::Ppl,
        folder: "run/01-measure".into(),
    };
    let message = Message::of(&error.context(stage)).render();
    assert_eq!(
        message,
        "error: stage `measure`\n  caused by: `text` is missing\nhint: give it as `text`\n"
    );
    let stage = InStage {
        name: "measure".to_owned(),
        verb: Verb::Ppl,
        folder: "run/01-measure".into(),
    };
    let error = Error::from(Interrupted).context(stage);
    let hint = "continue with: longrope extend --device flex";
    let message = Message::of(&error.context(Hint(hint.into()))).render();
    assert!(message.ends_with(&format!("hint: {hint}\n")), "{message}");
}

#[test]
fn control_characters_of_files_do_not_reach_the_terminal() {
    let error = anyhow!("tensor `a\u{1b}[31mb\u{7}`").context(Hint("look at `\u{9b}2J`".into()));
    let message = Message::of(&error).render();
    assert!(
        !message.chars().any(|c| c.is_control() && c != '\n'),
        "{message:?}"
    );
    assert!(message.contains("\\u{1b}[31mb\\u{7}"), "{message}");
}

#[test]
fn an_interrupted_run_is_continued_only_if_its_folder_holds_it() {
    let here = tempfile::tempdir().unwrap();
    let out = here.path().join("my run");
    for (kind, flag) in [(RunKind::Search, "search"), (RunKind::Finetune, "finetune")] {
        let out = out.join(flag);
        let message = || {
            let error = Error::from(Interrupted);
            Message::of(&explain_interruption(error, kind, &out, RunMode::New)).render()
        };
        assert_eq!(
            message(),
            "error: interrupted\nhint: nothing was saved yet: give the same command again\n"
        );
        drop(RunFolder::open(&out, kind, RunMode::New, &RunSettings::default()).unwrap());
        let text = message();
        // The folder has a blank in its name.
        let command = format!("longrope {flag} --resume --out '{}'\n", out.display());
        assert!(text.ends_with(&command), "{text}");
    }
}

#[test]
fn an_export_that_was_asked_to_stop_is_an_interruption() {
    let error = Error::from(longrope_model::Error::Stopped).context("exporting to `x`");
    assert!(is_interruption(&error));
}
