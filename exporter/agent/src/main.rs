//! The `noether` program: only wires.

use std::io::Write;
use std::process::ExitCode;
use std::{env, fs};

use noether::settings::{Command, Misuse};
use noether::{doctor, grid, node, settings, zones};

fn main() -> ExitCode {
    match settings::parse(env::args_os(), env::vars_os(), |path| fs::read(path)) {
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
