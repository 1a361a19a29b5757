//! The command line and the environment, one word a line: arguments first, then `NAME=VALUE` after an empty line.
#![no_main]

use std::ffi::OsString;
use std::io;

use noether::settings;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (arguments, variables) = text.split_once("\n\n").unwrap_or((text, ""));
    let arguments = ["noether"].into_iter().chain(arguments.lines()).map(OsString::from);
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let _ = settings::parse(arguments, variables, |_| Err(io::ErrorKind::NotFound.into()));
});
