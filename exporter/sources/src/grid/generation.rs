//! How much carbon a kilowatt-hour carries by the way it is generated: what a mix of generation is weighed with.
//!
//! The medians of the IPCC's Fifth Assessment Report, Working Group III, Annex III, Table A.III.2: Schlömer S. et al.,
//! 2014: Technology-specific cost and performance parameters. In: Climate Change 2014: Mitigation of Climate Change.
//! Cambridge University Press. <https://www.ipcc.ch/site/assets/uploads/2018/02/ipcc_wg3_ar5_annex-iii.pdf#page=7>
//! For what that table lacks, each row names another source.

use noether_core::carbon::Basis;
use noether_core::units::Intensity;

use super::zones::Source;

/// A way to generate electricity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "their names are in the table below")]
pub enum Method {
    Biomass,
    BiomassCofiring,
    Coal,
    CoalCcsIgcc,
    CoalCcsOxyfuel,
    CoalCcsPulverised,
    Gas,
    GasCcs,
    Geothermal,
    Hydro,
    Lignite,
    Nuclear,
    Ocean,
    Oil,
    OilShale,
    Peat,
    Solar,
    SolarConcentrated,
    SolarRooftop,
    SolarUtility,
    Unknown,
    Waste,
    Wind,
    WindOffshore,
    WindOnshore,
}

/// A row of the table: grams of CO2eq per kilowatt-hour over the lifecycle, and of these at the stack.
struct Factor {
    method: Method,
    name: &'static str,
    lifecycle: f64,
    direct: Option<f64>,
    source: &'static Source,
}

/// The medians of the IPCC.
pub static IPCC: Source = Source {
    name: "IPCC AR5 WG3, Annex III, Table A.III.2",
    url: "https://www.ipcc.ch/site/assets/uploads/2018/02/ipcc_wg3_ar5_annex-iii.pdf#page=7",
    licence: "facts, cited",
    note: "medians",
};

/// What Electricity Maps takes where the IPCC has no row.
static DEFAULTS: Source = Source {
    name: "Electricity Maps, default emission factors",
    url: "https://github.com/electricitymaps/electricitymaps-contrib/wiki/Default-emission-factors",
    licence: "facts, cited",
    note: "not of the IPCC: oil after the UK Parliamentary Office of Science and Technology; unknown as a mix of fossil fuels; solar as the mean of the IPCC's rooftop and utility; waste as biomass",
};

static LIGNITE: Source = Source {
    name: "World Nuclear Association 2011",
    url: "https://www.world-nuclear.org/uploadedFiles/org/WNA/Publications/Working_Group_Reports/comparison_of_lifecycle.pdf",
    licence: "facts, cited",
    note: "not of the IPCC: mean of the studies of lignite; peat, which has no figure of its own, counts as lignite",
};

static OIL_SHALE: Source = Source {
    name: "EASAC 2007, A study on the EU oil shale industry",
    url: "https://easac.eu",
    licence: "facts, cited",
    note: "not of the IPCC: Estonia's plants",
};

const fn row(
    method: Method,
    name: &'static str,
    lifecycle: f64,
    direct: Option<f64>,
    source: &'static Source,
) -> Factor {
    Factor { method, name, lifecycle, direct, source }
}

const FACTORS: &[Factor] = &[
    row(Method::Biomass, "biomass", 230.0, None, &IPCC),
    row(Method::BiomassCofiring, "biomass_cofiring", 740.0, None, &IPCC),
    row(Method::Coal, "coal", 820.0, Some(760.0), &IPCC),
    row(Method::CoalCcsIgcc, "coal_ccs_igcc", 200.0, Some(120.0), &IPCC),
    row(Method::CoalCcsOxyfuel, "coal_ccs_oxyfuel", 160.0, Some(76.0), &IPCC),
    row(Method::CoalCcsPulverised, "coal_ccs_pulverised", 220.0, Some(120.0), &IPCC),
    row(Method::Gas, "gas", 490.0, Some(370.0), &IPCC),
    row(Method::GasCcs, "gas_ccs", 170.0, Some(57.0), &IPCC),
    row(Method::Geothermal, "geothermal", 38.0, Some(0.0), &IPCC),
    row(Method::Hydro, "hydro", 24.0, Some(0.0), &IPCC),
    row(Method::Lignite, "lignite", 1054.0, None, &LIGNITE),
    row(Method::Nuclear, "nuclear", 12.0, Some(0.0), &IPCC),
    row(Method::Ocean, "ocean", 17.0, Some(0.0), &IPCC),
    row(Method::Oil, "oil", 650.0, None, &DEFAULTS),
    row(Method::OilShale, "oil_shale", 1515.0, None, &OIL_SHALE),
    row(Method::Peat, "peat", 1054.0, None, &LIGNITE),
    row(Method::Solar, "solar", 45.0, Some(0.0), &DEFAULTS),
    row(Method::SolarConcentrated, "solar_concentrated", 27.0, Some(0.0), &IPCC),
    row(Method::SolarRooftop, "solar_rooftop", 41.0, Some(0.0), &IPCC),
    row(Method::SolarUtility, "solar_utility", 48.0, Some(0.0), &IPCC),
    row(Method::Unknown, "unknown", 700.0, None, &DEFAULTS),
    row(Method::Waste, "waste", 230.0, None, &DEFAULTS),
    // Where it stands is not said: most stand on land.
    row(Method::Wind, "wind", 11.0, Some(0.0), &IPCC),
    row(Method::WindOffshore, "wind_offshore", 12.0, Some(0.0), &IPCC),
    row(Method::WindOnshore, "wind_onshore", 11.0, Some(0.0), &IPCC),
];

/// What a kilowatt-hour of `method` carries. `None` where the source has no figure on that basis.
pub fn intensity(method: Method, basis: Basis) -> Option<Intensity> {
    let factor = factor(method)?;
    let grams = match basis {
        Basis::Lifecycle => Some(factor.lifecycle),
        Basis::Direct => factor.direct,
    };
    Intensity::from_grams_per_kwh(grams?)
}

/// Whose figure it is.
pub fn source(method: Method) -> Option<&'static Source> {
    factor(method).map(|factor| factor.source)
}

impl Method {
    /// Whether it is power of the sun.
    pub(super) const fn is_solar(self) -> bool {
        matches!(self, Self::Solar | Self::SolarConcentrated | Self::SolarRooftop | Self::SolarUtility)
    }

    /// Every method.
    pub fn all() -> impl Iterator<Item = Self> {
        FACTORS.iter().map(|factor| factor.method)
    }

    /// The method of that name, as in a factor table: `wind_offshore`.
    pub fn named(name: &str) -> Option<Self> {
        FACTORS.iter().find(|factor| factor.name == name).map(|factor| factor.method)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        factor(self).map_or("unknown", |factor| factor.name)
    }
}

fn factor(method: Method) -> Option<&'static Factor> {
    FACTORS.iter().find(|factor| factor.method == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grams(name: &str, basis: Basis) -> Option<f64> {
        intensity(Method::named(name).unwrap(), basis).map(Intensity::grams_per_kwh)
    }

    /// The table, as typed in a second time from it: minima and maxima lie around the medians.
    #[test]
    fn the_medians_of_the_ipcc() {
        let rows = [
            ("coal", 740.0, 820.0, 910.0),
            ("gas", 410.0, 490.0, 650.0),
            ("biomass_cofiring", 620.0, 740.0, 890.0),
            ("biomass", 130.0, 230.0, 420.0),
            ("geothermal", 6.0, 38.0, 79.0),
            ("hydro", 1.0, 24.0, 2200.0),
            ("nuclear", 3.7, 12.0, 110.0),
            ("solar_concentrated", 8.8, 27.0, 63.0),
            ("solar_rooftop", 26.0, 41.0, 60.0),
            ("solar_utility", 18.0, 48.0, 180.0),
            ("wind_onshore", 7.0, 11.0, 56.0),
            ("wind_offshore", 8.0, 12.0, 35.0),
            ("coal_ccs_oxyfuel", 100.0, 160.0, 200.0),
            ("coal_ccs_pulverised", 190.0, 220.0, 250.0),
            ("coal_ccs_igcc", 170.0, 200.0, 230.0),
            ("gas_ccs", 94.0, 170.0, 340.0),
            ("ocean", 5.6, 17.0, 28.0),
        ];
        for (name, least, median, most) in rows {
            assert_eq!(grams(name, Basis::Lifecycle), Some(median), "{name}");
            assert!(least < median && median < most);
            let direct = grams(name, Basis::Direct);
            assert!(direct.is_none_or(|direct| direct < median), "{name}: {direct:?}");
            assert_eq!(source(Method::named(name).unwrap()), Some(&IPCC), "{name}");
        }
        assert_eq!(grams("coal", Basis::Direct), Some(760.0));
        assert_eq!(grams("gas", Basis::Direct), Some(370.0));
        assert_eq!(grams("hydro", Basis::Direct), Some(0.0));
        assert_eq!(grams("biomass", Basis::Direct), None);
    }

    #[test]
    fn what_the_ipcc_lacks_says_so() {
        for (name, median) in [("oil", 650.0), ("unknown", 700.0), ("lignite", 1054.0), ("solar", 45.0)] {
            assert_eq!(grams(name, Basis::Lifecycle), Some(median));
            assert!(source(Method::named(name).unwrap()).unwrap().note.starts_with("not of the IPCC"));
        }
    }

    #[test]
    fn each_method_has_its_name() {
        assert_eq!(Method::all().count(), 25);
        for method in Method::all() {
            assert_eq!(Method::named(method.name()), Some(method));
        }
        assert_eq!(Method::named("cold fusion"), None);
    }
}
