//! `file`: values that the operator maintains in a CSV or JSON, read again whenever it changes.

use std::time::Duration;

use noether_core::carbon::{Basis, Observation, Signal};
use noether_core::units::Intensity;
use serde_json::Value;

use super::failure::{Failure, Reason, shown};
use super::provider::{Access, Need, Provider, Quote, Quotes};
use super::{json, time};

/// The provider.
pub(super) const PROVIDER: Provider = Provider {
    name: "file",
    summary: "CSV or JSON of your own, at the path that --grid.url names",
    url: "",
    signal: Signal::Average,
    basis: Basis::Lifecycle,
    cadence: Duration::from_millis(500),
    need: Need::Nothing,
    covers,
    access: Access::File { parse },
};

/// What a row may say: the first two it must.
const COLUMNS: [&str; 7] = ["zone", "grams_per_kwh", "signal", "basis", "estimated", "from", "until"];

/// Any zone may stand in the file.
fn covers(zone: &str) -> Option<String> {
    Some(zone.to_owned())
}

/// The rows of `zone`. Those of other zones are not looked into, so that a mistake there spoils nothing here. A row
/// without a time holds since the file was written.
fn parse(zone: &str, body: &[u8], modified: Duration) -> Quotes {
    let text = std::str::from_utf8(body).map_err(|_| Failure::malformed("a CSV or JSON in UTF-8", body))?;
    let text = text.trim_start_matches('\u{feff}');
    let rows = if text.trim_start().starts_with(['[', '{']) { from_json(text)? } else { from_csv(text)? };
    let ours = rows.iter().filter(|row| row.zone() == zone);
    ours.filter_map(|row| row.quote(modified).transpose()).collect()
}

/// A row: where it stands, and its fields in the order of `COLUMNS`, empty where there is none.
struct Row {
    place: String,
    fields: [String; COLUMNS.len()],
}

impl Row {
    fn field(&self, column: &str) -> &str {
        let mut fields = COLUMNS.iter().zip(&self.fields);
        fields.find(|(name, _)| **name == column).map_or("", |(_, field)| field.trim())
    }

    fn zone(&self) -> &str {
        self.field("zone")
    }

    fn wrong(&self, expected: &str, column: &str) -> Failure {
        let found = shown(self.field(column).as_bytes());
        Failure::new(
            Reason::Malformed,
            format!("{}: expected {expected} as {column}, found {found:?}", self.place),
        )
    }

    /// One of the `choices`; the first where nothing is said.
    fn choice<T: Copy>(&self, column: &str, choices: [(&str, T); 2]) -> Result<T, Failure> {
        let [(first, value), (second, _)] = choices;
        let found = self.field(column).to_ascii_lowercase();
        if found.is_empty() {
            return Ok(value);
        }
        let choice = choices.into_iter().find(|(name, _)| *name == found).map(|(_, value)| value);
        choice.ok_or_else(|| self.wrong(&format!("{first} or {second}"), column))
    }

    fn time(&self, column: &str) -> Result<Option<Duration>, Failure> {
        match self.field(column) {
            "" => Ok(None),
            text => time::instant(text)
                .map(Some)
                .ok_or_else(|| self.wrong("a time like 2026-01-31T12:00Z", column)),
        }
    }

    /// `None` where the row states that there is no value.
    fn quote(&self, modified: Duration) -> Result<Option<Quote>, Failure> {
        let grams = self.field("grams_per_kwh");
        if grams.is_empty() || grams.eq_ignore_ascii_case("null") {
            return Ok(None);
        }
        let intensity = grams.parse().ok().and_then(Intensity::from_grams_per_kwh);
        Ok(Some(Quote {
            signal: self.choice("signal", [("average", Signal::Average), ("marginal", Signal::Marginal)])?,
            basis: self.choice("basis", [("lifecycle", Basis::Lifecycle), ("direct", Basis::Direct)])?,
            observation: Observation {
                intensity: intensity.ok_or_else(|| self.wrong("grams per kilowatt-hour", "grams_per_kwh"))?,
                estimated: self.choice("estimated", [("false", false), ("true", true)])?,
                at: self.time("from")?.unwrap_or(modified),
            },
            until: self.time("until")?,
        }))
    }
}

/// The header names the columns, in any order; further ones are for the operator. Lines that begin with `#` are comments.
fn from_csv(text: &str) -> Result<Vec<Row>, Failure> {
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    let (number, header) =
        lines.next().ok_or_else(|| Failure::new(Reason::NoData, "expected rows, found none"))?;
    let header: Vec<_> = fields(header).iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    for column in ["zone", "grams_per_kwh"] {
        if !header.iter().any(|name| name == column) {
            let found = shown(header.join(",").as_bytes());
            let text = format!("line {number}: expected a column {column}, found the columns {found}");
            return Err(Failure::new(Reason::Malformed, text));
        }
    }
    let row = |(number, line): (u32, &str)| {
        let found = fields(line);
        let of =
            |column: &str| header.iter().position(|name| name == column).and_then(|place| found.get(place));
        Row {
            place: format!("line {number}"),
            fields: COLUMNS.map(|column| of(column).cloned().unwrap_or_default()),
        }
    };
    Ok(lines.map(row).collect())
}

/// The fields of a line. A quoted one may hold commas, and quotes that are doubled, but no line break.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    fields.push(field);
    fields
}

/// A list of objects with the columns as keys.
fn from_json(text: &str) -> Result<Vec<Row>, Failure> {
    let document = json::document(text.as_bytes(), "a JSON list of objects")?;
    let Value::Array(list) = &document else { return Err(json::wrong("a list of objects", &document)) };
    list.iter().enumerate().map(|(place, object)| row(place + 1, object)).collect()
}

fn row(place: usize, object: &Value) -> Result<Row, Failure> {
    for column in ["zone", "grams_per_kwh"] {
        if object.get(column).is_none() {
            return Err(json::wrong(&format!("a key {column} in entry {place}"), object));
        }
    }
    let field = |column: &str| match object.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    Ok(Row { place: format!("entry {place}"), fields: COLUMNS.map(field) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::tests::{fault, only};

    const WRITTEN: Duration = Duration::from_secs(1_516_449_600);

    const CSV: &str = "\u{feff}Zone, grams_per_kwh,note,from,until,signal,basis,estimated\r\n\
        # our own plant\r\n\
        \r\n\
        PLANT,41.5,\"roof, south\"\r\n\
        FR,56,,2018-01-20T12:00Z,,,,\r\n\
        FR,60,,2018-01-20T13:00Z,2018-01-20T14:00Z,Average,lifecycle,TRUE\r\n\
        FR,300,,2018-01-20T12:00Z,,marginal,direct,\r\n\
        DE,,,,,,,\r\n\
        XX,many,,,,,,\r\n";

    #[test]
    fn rows_of_a_csv() {
        let (grams, quote) = only(parse("PLANT", CSV.as_bytes(), WRITTEN));
        assert_eq!((grams, quote.observation.at, quote.until), (41.5, WRITTEN, None));
        assert_eq!((quote.signal, quote.basis), (Signal::Average, Basis::Lifecycle));
        let rows = parse("FR", CSV.as_bytes(), WRITTEN).unwrap();
        assert_eq!(rows.len(), 3);
        assert!(rows[1].observation.estimated && !rows[0].observation.estimated);
        assert_eq!(rows[1].until, Some(WRITTEN + Duration::from_secs(7200)));
        assert_eq!((rows[2].signal, rows[2].basis), (Signal::Marginal, Basis::Direct));
        assert_eq!(parse("DE", CSV.as_bytes(), WRITTEN), Ok(Vec::new()));
        assert_eq!(parse("ES", CSV.as_bytes(), WRITTEN), Ok(Vec::new()));
        let failure = parse("XX", CSV.as_bytes(), WRITTEN).unwrap_err();
        assert_eq!(failure.text, "line 9: expected grams per kilowatt-hour as grams_per_kwh, found \"many\"");
    }

    #[test]
    fn a_missing_column_is_named() {
        for (body, column) in [
            ("zone,grams\nFR,56\n", "grams_per_kwh"),
            ("region,grams_per_kwh\nFR,56\n", "zone"),
            ("zone;grams_per_kwh\nFR;56\n", "zone"),
            (r#"[{"zone":"FR","grams":56}]"#, "grams_per_kwh"),
            (r#"[{"grams_per_kwh":56}]"#, "zone"),
        ] {
            let failure = parse("FR", body.as_bytes(), WRITTEN).unwrap_err();
            assert_eq!(failure.reason, Reason::Malformed);
            assert!(failure.text.contains(column), "{failure}");
        }
    }

    #[test]
    fn rows_of_a_json() {
        let body = r#"[{"zone":"FR","grams_per_kwh":"56.5","from":"2018-01-20T12:00Z","estimated":true},
            {"zone":"DE","grams_per_kwh":null}]"#;
        let (grams, quote) = only(parse("FR", body.as_bytes(), Duration::ZERO));
        assert_eq!((grams, quote.observation.at, quote.observation.estimated), (56.5, WRITTEN, true));
        assert_eq!(parse("DE", body.as_bytes(), WRITTEN), Ok(Vec::new()));
        for wrong in ["[", "{}", "[1]", r#"[{"zone":"FR","grams_per_kwh":[]}]"#, "<html>"] {
            assert_eq!(fault(parse("FR", wrong.as_bytes(), WRITTEN)), Reason::Malformed, "{wrong}");
        }
        assert_eq!(fault(parse("FR", b" \n# nothing\n", WRITTEN)), Reason::NoData);
        assert_eq!(fault(parse("FR", &[0xff], WRITTEN)), Reason::Malformed);
    }

    #[test]
    fn wrong_fields_are_named() {
        for (row, column) in [
            ("FR,56,sometimes,,,,", "signal"),
            ("FR,56,,all,,,", "basis"),
            ("FR,56,,,perhaps,,", "estimated"),
            ("FR,56,,,,noon,", "from"),
            ("FR,56,,,,,noon", "until"),
            ("FR,-5,,,,,", "grams_per_kwh"),
        ] {
            let body = format!("zone,grams_per_kwh,signal,basis,estimated,from,until\n{row}\n");
            let failure = parse("FR", body.as_bytes(), WRITTEN).unwrap_err();
            assert!(failure.text.contains(column) && failure.text.contains("line 2"), "{failure}");
        }
        assert_eq!(fields(r#"a,"b ""c"", d",,"#), ["a", "b \"c\", d", "", ""]);
    }
}
