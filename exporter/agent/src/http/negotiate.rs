//! Which format and encoding a client wants: `Accept` and `Accept-Encoding`, as RFC 9110 §12.5 reads them.

pub use noether_exposition::prometheus::Format;

/// How the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Encoding {
    /// As they are.
    Identity,
    /// Compressed.
    Gzip,
}

/// How Prometheus 3 wants names escaped that are no plain ASCII identifiers. Ours all are, so every scheme gives
/// the same text: the asker's is confirmed, and that is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escaping {
    /// `allow-utf-8`.
    AllowUtf8,
    /// `underscores`.
    Underscores,
    /// `dots`.
    Dots,
    /// `values`.
    Values,
}

/// The format to answer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The format.
    pub(super) format: Format,
    /// The escaping scheme to confirm, where one was asked for.
    pub(super) escaping: Option<Escaping>,
}

impl Answer {
    /// The value of `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match (self.format, self.escaping) {
            (Format::Text, _) => "text/plain; version=0.0.4; charset=utf-8",
            (Format::OpenMetrics, None) => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            (Format::OpenMetrics, Some(escaping)) => match escaping {
                Escaping::AllowUtf8 => {
                    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
                }
                Escaping::Underscores => {
                    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
                }
                Escaping::Dots => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots",
                Escaping::Values => {
                    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values"
                }
            },
        }
    }
}

/// A weight from 0 (never) to 1000 (gladly): a `q` has at most three decimals.
type Weight = u16;

/// One element of an `Accept` header.
struct Range<'a> {
    kind: &'a str,
    version: Option<&'a str>,
    escaping: Option<Escaping>,
    weight: Weight,
}

impl<'a> Range<'a> {
    /// `None` where the element is empty or its weight is no weight.
    fn parse(element: &'a str) -> Option<Self> {
        let mut parts = element.split(';').map(str::trim);
        let kind = parts.next().filter(|kind| !kind.is_empty())?;
        let mut range = Self { kind, version: None, escaping: None, weight: 1000 };
        for (name, value) in parts.filter_map(parameter) {
            if name.eq_ignore_ascii_case("q") {
                range.weight = weight(value)?;
            } else if name.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            } else if name.eq_ignore_ascii_case("escaping") {
                range.escaping = escaping(value);
            }
        }
        Some(range)
    }

    /// How exactly it names `format`, if at all: a range that says more counts before one that says less.
    fn names(&self, format: Format) -> Option<u8> {
        let (kind, family, version) = match format {
            Format::Text => ("text/plain", "text/*", "0.0.4"),
            Format::OpenMetrics => ("application/openmetrics-text", "application/*", "1.0.0"),
        };
        match self.version {
            _ if self.kind == "*/*" => Some(0),
            _ if self.kind.eq_ignore_ascii_case(family) => Some(1),
            _ if !self.kind.eq_ignore_ascii_case(kind) => None,
            None => Some(2),
            Some(wanted) => (wanted == version).then_some(3),
        }
    }

    fn confirmed(&self, format: Format) -> Option<Escaping> {
        let asks = format == Format::OpenMetrics && self.version == Some("1.0.0");
        self.escaping.filter(|_| asks)
    }
}

/// The format for the `Accept` header's value (several joined by commas). What cannot be met gets text 0.0.4.
///
/// The larger weight wins; between equals what was named over what a wildcard covers, then what was named first.
pub(super) fn format(accept: &str) -> Answer {
    let ranges: Vec<Range<'_>> = accept.split(',').filter_map(Range::parse).collect();
    let wish = |format: Format| {
        let naming = ranges
            .iter()
            .enumerate()
            .filter_map(|(place, range)| Some((range.names(format)?, usize::MAX - place, range)));
        let (exactness, order, range) = naming.max_by_key(|(exactness, order, _)| (*exactness, *order))?;
        let answer = Answer { format, escaping: range.confirmed(format) };
        (range.weight > 0).then_some(((range.weight, exactness, order), answer))
    };
    let text = wish(Format::Text);
    let chosen = match (text, wish(Format::OpenMetrics)) {
        (Some((text_rank, _)), Some((rank, answer))) if rank > text_rank => Some(answer),
        (None, Some((_, answer))) => Some(answer),
        _ => None,
    };
    chosen.unwrap_or(Answer { format: Format::Text, escaping: None })
}

/// The encoding for the `Accept-Encoding` header's value: gzip where it is welcome and identity is not dearer.
pub(super) fn encoding(accept: &str) -> Encoding {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for element in accept.split(',') {
        let Some(Range { kind, weight, .. }) = Range::parse(element) else { continue };
        match kind {
            _ if kind.eq_ignore_ascii_case("gzip") || kind.eq_ignore_ascii_case("x-gzip") => {
                gzip = Some(weight);
            }
            _ if kind.eq_ignore_ascii_case("identity") => identity = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    if gzip > 0 && gzip >= identity.unwrap_or(0) { Encoding::Gzip } else { Encoding::Identity }
}

/// `name=value` or `name="value"`.
fn parameter(part: &str) -> Option<(&str, &str)> {
    let (name, value) = part.split_once('=')?;
    Some((name.trim(), value.trim().trim_matches('"')))
}

fn weight(value: &str) -> Option<Weight> {
    let share: f64 = value.parse().ok()?;
    (0.0..=1.0).contains(&share).then(|| (share * 1000.0).round() as Weight)
}

fn escaping(value: &str) -> Option<Escaping> {
    match value {
        "allow-utf-8" => Some(Escaping::AllowUtf8),
        "underscores" => Some(Escaping::Underscores),
        "dots" => Some(Escaping::Dots),
        "values" => Some(Escaping::Values),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMETHEUS_2_42: &str = "application/openmetrics-text;version=1.0.0,\
        application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_NATIVE_HISTOGRAMS: &str = "application/vnd.google.protobuf;\
        proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
        application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
        text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    #[test]
    fn accept() {
        let open_metrics = [
            PROMETHEUS_2_42,
            PROMETHEUS_NATIVE_HISTOGRAMS,
            PROMETHEUS_3,
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
            "text/plain;q=0.5, application/openmetrics-text;q=0.6",
            "application/openmetrics-text, */*",
            "application/openmetrics-text, text/plain",
            "application/*",
            "text/plain;q=0, application/openmetrics-text;q=0.001",
            "text/*;q=0,*/*",
        ];
        for accept in open_metrics {
            assert_eq!(format(accept).format, Format::OpenMetrics, "{accept}");
        }
        let text = [
            "",
            ",;,=;q",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
            "text/plain",
            "text/plain, application/openmetrics-text",
            "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0,text/plain;q=0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0,*/*",
            "application/openmetrics-text;q=7",
            "application/openmetrics-text;q=nan",
            "application/vnd.google.protobuf",
            "text/plain;version=1.0.0",
            "*/*;q=0",
            "application/openmetrics-text-x",
        ];
        for accept in text {
            let answer = Answer { format: Format::Text, escaping: None };
            assert_eq!(format(accept), answer, "{accept}");
        }
    }

    #[test]
    fn the_more_exact_range_decides_about_a_format() {
        let accept =
            "application/openmetrics-text;version=1.0.0;q=0.2,application/openmetrics-text,text/plain;q=0.5";
        assert_eq!(format(accept).format, Format::Text);
    }

    #[test]
    fn escaping_is_confirmed_to_who_asked() {
        let plain = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        for (accept, suffix) in [
            (PROMETHEUS_3, "; escaping=allow-utf-8"),
            ("application/openmetrics-text;version=1.0.0;escaping=underscores", "; escaping=underscores"),
            ("application/openmetrics-text;version=1.0.0;escaping=dots", "; escaping=dots"),
            ("application/openmetrics-text;version=1.0.0;escaping=values", "; escaping=values"),
            ("application/openmetrics-text;version=1.0.0;escaping=%0d%0a", ""),
            ("application/openmetrics-text;escaping=underscores", ""),
            (PROMETHEUS_2_42, ""),
        ] {
            assert_eq!(format(accept).content_type(), format!("{plain}{suffix}"), "{accept}");
        }
        let text = format("text/plain;version=0.0.4;escaping=values").content_type();
        assert_eq!(text, "text/plain; version=0.0.4; charset=utf-8");
    }

    #[test]
    fn accept_encoding() {
        for accept in
            ["gzip", "x-gzip", "GZip, deflate, br", "br;q=1.0, gzip;q=0.1", "*", "identity;q=0.5, *;q=0.6"]
        {
            assert_eq!(encoding(accept), Encoding::Gzip, "{accept}");
        }
        for accept in [
            "",
            "identity",
            "gzip;q=0",
            "gzip;q=0.0, *",
            "br, deflate",
            "*;q=0",
            "identity, gzip;q=0.5",
            "identity;q=0",
            "gzip;q=x",
        ] {
            assert_eq!(encoding(accept), Encoding::Identity, "{accept}");
        }
    }
}
