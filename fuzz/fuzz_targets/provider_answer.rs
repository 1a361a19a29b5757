//! What a provider of carbon intensity answers, or an operator's file holds. The first byte chooses the provider.
#![no_main]

use std::time::Duration;

use noether_sources::grid::{Access, Asked, PROVIDERS};

libfuzzer_sys::fuzz_target!(|data: (u8, &[u8])| {
    let (number, body) = data;
    let Some(provider) = PROVIDERS.get(usize::from(number) % PROVIDERS.len()) else { return };
    // The end of 2024: answers in the corpus are of that day.
    let now = Duration::from_secs(1_735_603_200);
    match provider.access {
        Access::Web { parse, login, .. } => {
            let asked = Asked { url: provider.url, code: "DE", secret: None, now, is_v3_gone: false };
            let _ = parse(&asked, body);
            if let Some(login) = login {
                let _ = (login.parse)(body);
            }
        }
        Access::File { parse } => {
            let _ = parse("DE", body, now);
        }
        Access::Fixed { parse } => {
            let _ = parse(&String::from_utf8_lossy(body), "DE");
        }
    }
});
