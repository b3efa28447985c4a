//! `longrope man`

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use longrope_data::write_atomically;

use crate::settings::args::{self, Args};
use crate::show::output;

/// A manual page: the name of its file, and its text in roff.
struct Page {
    file: String,
    text: Vec<u8>,
}

pub(crate) fn run(args: &args::Man) -> Result<()> {
    let mut command = Args::command().disable_help_subcommand(true);
    // Gives verbs their full names, such as `longrope-eval-ppl`.
    command.build();
    let Some(folder) = &args.out else {
        return output::raw(&page(&command)?.text);
    };
    let pages = pages(&command)?;
    for page in &pages {
        let path = folder.join(&page.file);
        write_atomically(&path, &page.text)
            .with_context(|| format!("writing `{}`", path.display()))?;
    }
    output::line(format!(
        "wrote {} pages to {}",
        pages.len(),
        folder.display()
    ))
}

/// The pages of a command and of everything below it.
fn pages(command: &Command) -> Result<Vec<Page>> {
    let mut all = vec![page(command)?];
    for verb in command.get_subcommands() {
        all.extend(pages(verb)?);
    }
    Ok(all)
}

fn page(command: &Command) -> Result<Page> {
    let man = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    man.render(&mut text)?;
    Ok(Page {
        file: man.get_filename(),
        text,
    })
}
