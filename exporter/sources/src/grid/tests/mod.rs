//! What tests of providers share, and the asking against servers of this machine that behave badly.

mod asking;
mod server;

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;

use super::{Access, Asked, PROVIDERS, Quote, Quotes, Reason, Secret, provider};

/// The zone with `code`, on 2018-01-20 at noon, at a server that is not there.
pub(super) fn asked(code: &str) -> Asked<'_> {
    static TOKEN: LazyLock<Secret> = LazyLock::new(|| Secret::new("t0ken"));
    let url = "https://host.org.uk";
    Asked { url, code, secret: Some(&TOKEN), now: Duration::from_secs(1_516_449_600), is_v3_gone: false }
}

/// The only quote, and its grams.
pub(super) fn only(quotes: Quotes) -> (f64, Quote) {
    let quotes = quotes.unwrap();
    assert_eq!(quotes.len(), 1, "{quotes:?}");
    (quotes[0].observation.intensity.grams_per_kwh(), quotes[0])
}

/// Why there is none.
pub(super) fn fault(quotes: Quotes) -> Reason {
    quotes.unwrap_err().reason
}

#[test]
fn providers_are_named_once_and_the_docs_tell_of_each_and_of_every_reason() {
    let docs = include_str!("../../../../../docs/carbon.md");
    for told in PROVIDERS {
        assert_eq!(provider(told.name).unwrap().summary, told.summary);
        assert!(docs.contains(&format!("\n| `{}` |", told.name)), "{}", told.name);
        assert!(told.url.is_empty() || docs.contains(told.url), "{}", told.url);
        assert!(told.cadence >= Duration::from_millis(500));
    }
    for reason in Reason::ALL {
        assert!(docs.contains(&format!("`{}`", reason.label())), "{}", reason.label());
    }
}

/// What a parser might take for its own, in any order.
const WORDS: &str = r#"(\{|\}|\[|\]|,|:|"data"|"zone"|"value"|"response"|"period"|"2018-01-20T12"|"from"|"intensity"|"results"|null|-1e400|58|"58"|<|>|/|<TimeSeries>|<Period>|<GL_MarketDocument>|</GL_MarketDocument>|PT15M|zone,grams_per_kwh\n|FR,|\n|\PC){0,40}"#;

proptest! {
    #[test]
    fn no_answer_panics(text in WORDS, bytes: Vec<u8>, at: Duration) {
        for provider in PROVIDERS {
            for body in [text.as_bytes(), &bytes] {
                match provider.access {
                    Access::Web { parse, login, request, .. } => {
                        let _ = parse(&Asked { now: at, ..asked(&text) }, body);
                        let _ = request(&Asked { url: &text, now: at, ..asked(&text) });
                        let _ = login.map(|login| ((login.parse)(body), (login.request)(&text, &Secret::new(&*text))));
                    }
                    Access::File { parse } => drop(parse("FR", body, at)),
                    Access::Fixed { parse } => drop(parse(&text, "FR")),
                }
            }
            let _ = (provider.covers)(&text);
        }
    }
}
