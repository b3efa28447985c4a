//! `longrope worker`: lends devices to other machines.

use anyhow::Result;

use crate::settings::args;

/// Serves devices until the program is stopped.
#[cfg(feature = "remote")]
pub(crate) fn run(args: &args::Worker) -> Result<()> {
    use std::net::TcpListener;

    use anyhow::{Context, anyhow};
    use burn::server::WebSocketTransport;

    use crate::failure::Hint;
    use crate::input::device;
    use crate::next_steps;
    use crate::show::output;

    let devices = args.device.iter().map(|name| device::open(name));
    let devices = devices.collect::<Result<Vec<_>>>()?;
    let listener = TcpListener::bind(&args.listen)
        .with_context(|| format!("listening on `{}`", args.listen))
        .context(Hint(
            "give an address of this machine and a free port, for example --listen 127.0.0.1:3000"
                .to_owned(),
        ))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            "{address} can be reached from other machines: whoever connects can run tensor operations here \
             and fill the memory; there is no encryption and no password"
        );
    }
    output::line(format!(
        "serving {} on ws://{address}",
        args.device.join(", ")
    ))?;
    next_steps::with_worker(&address.to_string()).show();
    longrope_kernels::remote_server(devices)
        .serve(WebSocketTransport::from_listener(listener))
        .map_err(|error| anyhow!("the server stopped: {error}"))
}

#[cfg(not(feature = "remote"))]
pub(crate) fn run(_args: &args::Worker) -> Result<()> {
    Err(
        anyhow::anyhow!("this program was built without the feature `remote`").context(
            crate::failure::Hint(
                "build it with `cargo build --release --features remote`".to_owned(),
            ),
        ),
    )
}
