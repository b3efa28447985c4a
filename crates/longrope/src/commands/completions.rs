//! `longrope completions`

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::generate;

use crate::settings::args::{Args, Completions};
use crate::show::output;

pub(crate) fn run(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut Args::command(), "longrope", &mut script);
    output::raw(&script)
}
