//! The pages that are not metrics: the landing page, and one line of text for everything else.

use std::fmt::Write;

/// What the landing page says.
#[derive(Clone, Debug)]
pub struct Landing {
    /// The exporter's name, as a heading.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is, in a sentence.
    pub description: String,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}\
    h1{margin-bottom:0}small{color:#666}li{margin:.4rem 0}\
    @media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}small{color:#999}}";

impl Landing {
    /// The page, with a link to the metrics at `telemetry_path`.
    pub fn html(&self, telemetry_path: &str) -> String {
        let [name, version, description] =
            [&self.name, &self.version, &self.description].map(|text| escaped(text));
        let metrics = escaped(telemetry_path);
        format!(
            r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{name}</h1>
<small>version {version}</small>
<p>{description}</p>
<ul>
<li><a href="{metrics}">Metrics</a>, for Prometheus</li>
<li><a href="/-/healthy">Health</a>: whether it runs</li>
<li><a href="/-/ready">Readiness</a>: whether it has measured</li>
</ul>
</body>
</html>
"#
        )
    }
}

/// `text` with nothing in it that HTML takes for markup, inside and outside of attributes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a string cannot fail.
                let _ = write!(html, "&#{};", u32::from(character));
            }
            _ => html.push(character),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_escaped() {
        let landing = Landing {
            name: "<script>alert(1)</script>".to_owned(),
            version: "1 & 2".to_owned(),
            description: "it's \"quoted\"".to_owned(),
        };
        let html = landing.html("/m\"onclick=\"x");
        assert!(!html.contains("<script") && !html.contains("onclick=\""), "{html}");
        assert!(html.contains("1 &#38; 2") && html.contains("it&#39;s &#34;quoted&#34;"), "{html}");
    }

    #[test]
    fn it_links_to_the_metrics() {
        let landing = Landing { name: "N".to_owned(), version: "0".to_owned(), description: String::new() };
        assert!(landing.html("/probe").contains("<a href=\"/probe\">"));
    }
}
