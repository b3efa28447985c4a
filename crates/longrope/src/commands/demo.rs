//! `longrope demo`
pub(crate) fn run(_args: &crate::args::Demo) -> anyhow::Result<()> {
    Ok(())
}
