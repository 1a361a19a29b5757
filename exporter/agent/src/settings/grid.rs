//! What is said of the grid: zones, who is asked for their intensity, and how.

use std::time::Duration;

use noether_core::units::Intensity;
use noether_sources::grid::zones::{self, Zone};
use noether_sources::grid::{self, Access, Credential, PROVIDERS, Plan, Provider, Secret};

use super::choice::{Bases, choice};
use super::duration::duration;
use super::given::Layers;
use super::{Command, Misuse, value};

/// A zone that is served.
#[derive(Clone, Debug)]
pub struct GridZone {
    /// Its code: the `grid_zone` label.
    pub code: String,
    /// What is shipped of it; nothing where only a provider knows it.
    pub shipped: Option<&'static Zone>,
}

impl PartialEq for GridZone {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

/// A provider that is asked.
#[derive(Clone, Debug)]
pub struct GridProvider {
    /// Which one.
    pub provider: &'static Provider,
    /// Another endpoint than its own.
    pub url: Option<String>,
    /// What it is shown.
    pub credential: Credential,
}

impl PartialEq for GridProvider {
    fn eq(&self, other: &Self) -> bool {
        let fields = |one: &Self| (one.provider.name, one.url.clone(), one.credential.clone());
        fields(self) == fields(other)
    }
}

/// `--grid.*`
#[derive(Clone, Debug, PartialEq)]
pub struct GridSettings {
    /// `--grid.zone`
    pub zones: Vec<GridZone>,
    /// `--grid.provider` with what belongs to each, the first to be asked first.
    pub providers: Vec<GridProvider>,
    /// `--grid.max-age`
    pub max_age: Duration,
    /// `--grid.basis`
    pub bases: Bases,
}

impl GridSettings {
    /// The zones that nobody is known to serve: no table, no provider with a list of zones, and none that is asked.
    pub fn unserved(&self) -> impl Iterator<Item = &GridZone> {
        let is_asked = |zone: &str| self.providers.iter().any(|one| is_given(one, zone));
        self.zones.iter().filter(move |zone| {
            zone.shipped.is_none() && !grid::is_served(&zone.code) && !is_asked(&zone.code)
        })
    }

    /// What is asked of whom; `None` where nobody is asked.
    pub fn plan(&self) -> Option<Plan> {
        let chosen = |one: &GridProvider| grid::Chosen {
            provider: one.provider,
            url: one.url.clone(),
            credential: one.credential.clone(),
        };
        (!self.providers.is_empty()).then(|| Plan {
            zones: self.zones.iter().map(|zone| zone.code.clone()).collect(),
            providers: self.providers.iter().map(chosen).collect(),
            max_age: self.max_age,
        })
    }

    pub(super) fn from_layers(layers: &Layers, command: Command) -> Result<Self, Misuse> {
        let mut providers = providers(layers)?;
        let fixed = layers.list("grid.static", fixed_value)?;
        let zones = grid_zones(layers, &providers, &fixed, command)?;
        if command == Command::Node && zones.len() > 1 {
            let complaint = "names several zones, but a node lies in one; give it one, or run noether grid";
            return Err(Misuse::at(&layers.origin("grid.zone"), "grid.zone", complaint));
        }
        give_values(layers, &zones, &fixed, &mut providers)?;
        Ok(Self {
            zones,
            providers,
            max_age: layers.one("grid.max-age", duration)?,
            bases: layers.one("grid.basis", choice)?,
        })
    }
}

/// Whether the operator gives the values of a zone.
fn is_given(one: &GridProvider, zone: &str) -> bool {
    match one.provider.access {
        Access::Fixed { parse } => {
            parse(one.url.as_deref().unwrap_or_default(), zone).is_ok_and(|value| value.is_some())
        }
        _ => (one.provider.covers)(zone).is_some(),
    }
}

/// The names that `--grid.provider` takes.
pub(super) fn provider_names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name).collect()
}

fn providers(layers: &Layers) -> Result<Vec<GridProvider>, Misuse> {
    let name = "grid.provider";
    let mut providers: Vec<GridProvider> = Vec::new();
    for provider in layers.list(name, provider)? {
        if providers.iter().any(|known| known.provider.name == provider.name) {
            let complaint = format!("names {} twice; name it once", provider.name);
            return Err(Misuse::at(&layers.origin(name), name, &complaint));
        }
        providers.push(GridProvider { provider, url: None, credential: Credential::None });
    }
    assign(layers, "grid.url", &mut providers, |one, url| one.url.replace(url).is_some())?;
    let take = |one: &mut GridProvider, new| std::mem::replace(&mut one.credential, new) != Credential::None;
    let file = |one: &mut GridProvider, path: String| take(one, Credential::File(path.into()));
    let token = |one: &mut GridProvider, token: String| take(one, Credential::Given(Secret::new(&token)));
    assign(layers, "grid.token-file", &mut providers, file)?;
    assign(layers, "grid.token", &mut providers, token)?;
    Ok(providers)
}

/// Gives each value of a list to the provider that it names, or to the only one. `take` says whether there was one.
fn assign(
    layers: &Layers,
    name: &str,
    providers: &mut [GridProvider],
    take: impl Fn(&mut GridProvider, String) -> bool,
) -> Result<(), Misuse> {
    let wrong = |complaint: &str| Misuse::at(&layers.origin(name), name, complaint);
    for (of, value) in layers.list(name, tagged)? {
        let one = match (of, &mut *providers) {
            (_, []) => return Err(wrong("is for a provider, but there is none; name it by --grid.provider")),
            (None, [only]) => only,
            (None, _) => return Err(wrong("does not say for which provider; write PROVIDER= before it")),
            (Some(of), all) => all.iter_mut().find(|one| one.provider.name == of).ok_or_else(|| {
                wrong(&format!("is for the provider {of}, which is not asked; name it by --grid.provider"))
            })?,
        };
        let of = one.provider.name;
        if take(one, value) {
            return Err(wrong(&format!("is given twice for the provider {of}; give it once")));
        }
    }
    Ok(())
}

/// A value with the provider that it names, if any.
fn tagged(text: &str) -> Result<(Option<&'static str>, String), String> {
    let tag = text.split_once('=').and_then(|(tag, rest)| Some((provider(tag).ok()?.name, rest)));
    let (of, value) = tag.map_or((None, text), |(of, rest)| (Some(of), rest));
    if value.trim().is_empty() {
        return Err("is empty".into());
    }
    Ok((of, value.to_owned()))
}

fn provider(text: &str) -> Result<&'static Provider, String> {
    let known = grid::provider(text);
    known.ok_or_else(|| {
        let nearest = super::suggest::clause(text, provider_names().into_iter());
        format!("is not one of {}{nearest}", provider_names().join(", "))
    })
}

/// The zones, each once. One that is not shipped is right where a provider knows it. A node takes any zone, because a
/// `noether grid` elsewhere may serve it.
fn grid_zones(
    layers: &Layers,
    providers: &[GridProvider],
    fixed: &[Fixed],
    command: Command,
) -> Result<Vec<GridZone>, Misuse> {
    let name = "grid.zone";
    let mut zones: Vec<GridZone> = Vec::new();
    for text in layers.list(name, value::name)? {
        let zone = match zones::find(&text) {
            Ok(shipped) => GridZone { code: shipped.code.to_owned(), shipped: Some(shipped) },
            Err(_)
                if command == Command::Node
                    || providers.iter().any(|one| (one.provider.covers)(&text).is_some())
                    || has_value(fixed, &text) =>
            {
                GridZone { code: text.clone(), shipped: None }
            }
            Err(unknown) => {
                return Err(Misuse::at(&layers.origin(name), name, &unknown.to_string()));
            }
        };
        if let Some(known) = zones.iter().find(|known| known.code == zone.code) {
            let complaint = format!("{text:?} is {}, which is there already; name it once", known.code);
            return Err(Misuse::at(&layers.origin(name), name, &complaint));
        }
        zones.push(zone);
    }
    Ok(zones)
}

/// A value of `--grid.static`; without a zone, of every zone that has none of its own.
type Fixed = (Option<String>, Intensity);

fn has_value(fixed: &[Fixed], code: &str) -> bool {
    fixed.iter().any(|(zone, _)| zone.as_deref().is_none_or(|zone| zone == code))
}

/// Hands the values of `--grid.static` to the provider that gives them.
fn give_values(
    layers: &Layers,
    zones: &[GridZone],
    fixed: &[Fixed],
    providers: &mut [GridProvider],
) -> Result<(), Misuse> {
    let name = "grid.static";
    if fixed.is_empty() {
        return Ok(());
    }
    let wrong = |complaint: &str| Misuse::at(&layers.origin(name), name, complaint);
    let is_fixed = |one: &&mut GridProvider| matches!(one.provider.access, Access::Fixed { .. });
    let Some(provider) = providers.iter_mut().find(is_fixed) else {
        return Err(wrong("is given, but not asked for; name --grid.provider=static"));
    };
    let value = |zone: &GridZone| {
        let own = fixed.iter().find(|(of, _)| of.as_ref() == Some(&zone.code));
        let value = own.or_else(|| fixed.iter().find(|(of, _)| of.is_none()))?.1;
        Some(format!("{}={}", zone.code, value.grams_per_kwh()))
    };
    let values: Vec<String> = zones.iter().filter_map(value).collect();
    if provider.url.replace(values.join(",")).is_some() {
        return Err(wrong("is given, and --grid.url of static as well; give one of them"));
    }
    Ok(())
}

/// An intensity that stands in the settings: `250.7` or `DE=250.7`.
fn fixed_value(text: &str) -> Result<Fixed, String> {
    let (zone, grams) = text.rsplit_once('=').map_or((None, text), |(zone, grams)| (Some(zone), grams));
    let intensity =
        value::decimal(grams).filter(|grams| *grams <= 10_000.0).and_then(Intensity::from_grams_per_kwh);
    let intensity = intensity.filter(|_| zone != Some(""));
    let intensity = intensity.ok_or("is not gCO2eq per kWh, such as 250.7 or DE=250.7")?;
    // As the zone itself: a region stands for the zone that it lies in.
    let zone =
        zone.map(|zone| zones::find(zone).map_or_else(|_| zone.to_owned(), |zone| zone.code.to_owned()));
    Ok((zone, intensity))
}
