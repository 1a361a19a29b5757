//! The `noether` program: only wires.

use std::env;
use std::io::Write;
use std::process::ExitCode;

use noether::settings::{Command, Misuse};
use noether::{doctor, grid, node, settings, zones};
use noether_sources::regular;

/// The largest file that `--config.file` may name, in bytes.
const LARGEST_CONFIG: u64 = 4 << 20;

fn main() -> ExitCode {
    match settings::parse(env::args_os(), env::vars_os(), |path| regular::read(path, LARGEST_CONFIG)) {
        Ok((order, settings)) => match order.command {
            Command::Node => node::run(settings),
            Command::Grid => grid::run(&settings),
            Command::Doctor => doctor::run(&settings),
            Command::Zones => zones::run(&order.words, settings.format),
        },
        Err(misuse) => {
            // Nobody is left to be told where even this cannot be written.
            let _ = match &misuse {
                Misuse::Asked(text) => write!(std::io::stdout(), "{text}"),
                Misuse::Wrong(text) => writeln!(std::io::stderr(), "noether: {text}"),
            };
            ExitCode::from(misuse.exit_code())
        }
    }
}
