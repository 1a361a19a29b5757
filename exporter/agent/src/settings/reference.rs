//! The reference of all settings, as Markdown, written from the flag table.

use super::Command;
use super::flags::{FLAGS, Flag};

const INTRODUCTION: &str = "\
# Configuration

Every setting is a flag, an environment variable and a key of the YAML file that `--config.file` names. A flag wins over
a variable, a variable over the file, the file over the default. Anything unknown, doubled or of the wrong type ends the
program with exit code 64 and a message that names it, for the file with its line.

| | flag | environment | file |
| --- | --- | --- | --- |
| one value | `--sample.interval=2s` | `NOETHER_SAMPLE_INTERVAL=2s` | `sample: {interval: 2s}` |
| a list | the flag again for each item | `NOETHER_WEB_LISTEN_ADDRESS=:18823,[::1]:9100` | `web: {listen-address: [\":18823\", \"[::1]:9100\"]}` |

`DURATION` is as in Prometheus: `1m30s`, `150s`, `100ms`; units `y w d h m s ms` in this order; `0` needs none.
`kubernetes` is a setting and a section. In the file, `kubernetes: api` and `kubernetes: {source: api, identity-timeout: 2m}` say the same of it.

A file may hold the settings of all commands, and so may the environment; a command line only its command's own.
";

/// The reference.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut section = "";
    for flag in FLAGS.iter() {
        if flag.section != section {
            section = flag.section;
            page += &format!(
                "\n## {section}\n\n| flag | value | default | environment | commands | |\n| --- | --- | --- | --- | --- | --- |\n"
            );
        }
        page += &row(flag);
    }
    page
}

fn row(flag: &Flag) -> String {
    let commands: Vec<_> = flag.commands.iter().copied().map(Command::name).collect();
    let repeatable = if flag.repeatable { " (list)" } else { "" };
    // A bar would end the cell, within backticks too.
    let value = flag.kind.placeholder().replace('|', "\\|");
    format!(
        "| `--{}` | `{value}`{repeatable} | `{}` | `{}` | {} | {} |\n",
        flag.name,
        flag.preset.text(),
        flag.environment(),
        commands.join(", "),
        flag.help
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_row() {
        let page = reference();
        for flag in FLAGS.iter() {
            let row = page.lines().find(|line| line.starts_with(&format!("| `--{}` |", flag.name))).unwrap();
            assert!(row.contains(&flag.environment()) && row.contains(flag.preset.text()), "{row}");
            assert!(row.contains(&*flag.help), "{row}");
            assert!(page.contains(&format!("\n## {}\n", flag.section)));
        }
    }

    #[test]
    fn every_row_has_six_cells() {
        for row in reference().lines().filter(|line| line.starts_with("| `--")) {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 7, "{row}");
        }
    }
}
