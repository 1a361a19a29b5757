//! The command line, built from the flag table.

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches};

use super::flags::{FLAGS, Flag, Kind, find};
use super::given::{Given, Layer, Origin, Raw};
use super::{Command, Misuse, Order, suggest};

/// What is no flag on the command line.
const WORDS: &str = "words";

/// Reads the arguments, the program's name first.
pub(super) fn read(arguments: impl Iterator<Item = OsString>) -> Result<(Order, Layer), Misuse> {
    let matches = program().try_get_matches_from(arguments).map_err(|error| misuse(&error))?;
    let named = matches.subcommand().and_then(|(name, matches)| Some((Command::named(name)?, matches)));
    let (command, matches) = named.unwrap_or((Command::Node, &matches));
    let words = matches.try_get_many::<String>(WORDS).ok().flatten().into_iter().flatten().cloned().collect();
    let mut layer = Layer::new();
    for flag in offered(command) {
        if let Some(given) = given(flag, matches)? {
            layer.insert(&flag.name, given);
        }
    }
    Ok((Order { command, words }, layer))
}

/// The flags that a command's line offers.
fn offered(command: Command) -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(move |flag| flag.commands.contains(&command) && !flag.secret)
}

/// The whole program, which without a command is `node`.
fn program() -> clap::Command {
    clap::Command::new("noether")
        .bin_name("noether")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .about("Energy exporter: charges each measured joule to the workload that caused it.")
        .after_help("Without a command: node. Every flag but help and version is also an environment variable\n(--web.listen-address: NOETHER_WEB_LISTEN_ADDRESS) and, but for config.file, a key of the file.")
        .args_conflicts_with_subcommands(true)
        .args(offered(Command::Node).map(argument))
        .subcommands(Command::ALL.map(subcommand))
}

fn subcommand(command: Command) -> clap::Command {
    clap::Command::new(command.name())
        .display_name("noether")
        .about(command.summary())
        .args(offered(command).map(argument))
        .args(command.words().map(|help| Arg::new(WORDS).value_name("WORD").num_args(0..).help(help)))
}

fn argument(flag: &'static Flag) -> Arg {
    let again = if flag.repeatable { "; repeatable" } else { "" };
    let argument = Arg::new(&*flag.name)
        .long(&*flag.name)
        .value_name(flag.kind.placeholder())
        .help(format!("{} [default: {}{again}]", flag.help, flag.preset.text()))
        .help_heading(flag.section)
        // Any text and any number of times: what that means, and whether it may be, is said in one voice for the
        // command line, the environment and the file.
        .value_parser(ValueParser::os_string())
        .action(ArgAction::Append);
    match flag.kind {
        // It may stand alone, as those of the exporter-toolkit do.
        Kind::Boolean => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => argument,
    }
}

/// What the command line says of one flag.
fn given(flag: &Flag, matches: &ArgMatches) -> Result<Option<Given>, Misuse> {
    let Some(values) = matches.get_many::<OsString>(&flag.name) else { return Ok(None) };
    let values: Vec<Raw> = values.map(|value| raw(flag, value)).collect::<Result<_, _>>()?;
    if let ([first, second, ..], false) = (values.as_slice(), flag.repeatable) {
        let complaint = format!("given twice, {:?} and {:?}; give it once", first.text, second.text);
        return Err(Misuse::at(&Origin::CommandLine, &flag.name, &complaint));
    }
    Ok(Some(Given { origin: Origin::CommandLine, values }))
}

fn raw(flag: &Flag, value: &OsString) -> Result<Raw, Misuse> {
    let text = value.to_str().ok_or_else(|| {
        let complaint = format!("{value:?} is not UTF-8; give it {}", flag.kind.placeholder());
        Misuse::at(&Origin::CommandLine, &flag.name, &complaint)
    })?;
    Ok(Raw { text: text.to_owned(), origin: Origin::CommandLine })
}

/// What clap complains of: in our words where it is a wrong name, else in clap's.
fn misuse(error: &clap::Error) -> Misuse {
    let text = || error.render().to_string();
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => Some(name.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Misuse::Asked(text()),
        ErrorKind::UnknownArgument => {
            named(ContextKind::InvalidArg).map_or_else(|| wrong(&text()), unknown_argument)
        }
        ErrorKind::InvalidSubcommand => {
            named(ContextKind::InvalidSubcommand).map_or_else(|| wrong(&text()), unknown_command)
        }
        _ => wrong(&text()),
    }
}

/// Clap's text without its own "error:", since whoever prints a misuse says that.
fn wrong(text: &str) -> Misuse {
    Misuse::Wrong(text.strip_prefix("error: ").unwrap_or(text).trim_end().to_owned())
}

fn unknown_command(word: &str) -> Misuse {
    let commands = Command::ALL.map(Command::name);
    let nearest = suggest::clause(word, commands.into_iter());
    Misuse::Wrong(format!("{word}: no such command; there are {}{nearest}", commands.join(", ")))
}

/// An argument that is no flag of the command.
fn unknown_argument(argument: &str) -> Misuse {
    let Some(name) = argument.strip_prefix("--") else {
        return Misuse::Wrong(format!("{argument}: neither a flag nor a command; see noether --help"));
    };
    if let Some(flag) = find(name) {
        if flag.secret {
            let (variable, place) = (flag.environment(), &Origin::CommandLine);
            let mend = format!("is a secret, which everybody reads on a command line; give it as {variable}");
            return Misuse::at(place, name, &mend);
        }
        let commands = flag.commands.iter().map(|command| format!("noether {}", command.name()));
        let commands = commands.collect::<Vec<_>>().join(", ");
        return Misuse::at(
            &Origin::CommandLine,
            name,
            &format!("no flag of this command, but of {commands}"),
        );
    }
    let nearest = suggest::hint(name, "--", FLAGS.iter().map(|flag| &*flag.name));
    Misuse::at(&Origin::CommandLine, name, &format!("no such flag{nearest}"))
}
