#!/usr/bin/env python3
"""The making of the carbon intensities by grid zone: electricity_maps_zones.csv, countries.csv and us_states.csv.

Run it by hand where a pinned version below is raised; neither the build nor the program ever does.
It needs npm and pip, and rewrites the files beside it, byte for byte the same from the same versions.

- @tgwf/co2 (the data: Electricity Maps, ODbL 1.0, see electricity_maps_zones.NOTICE): averages of the latest year by
  grid zone; lifecycle; of what is consumed, so with imports.
- carbontracker (package: MIT; the data: Ember by way of Our World in Data, CC BY 4.0): averages of the latest year by
  country; lifecycle (https://ourworldindata.org/grapher/carbon-intensity-electricity); of what is generated.
- codecarbon (package: MIT; the data: US EPA eGRID2023, a work of the US government and in the public domain): total
  output emission rates by state, CO2 equivalent; direct, of what is generated.
"""

import csv
import io
import json
import re

from packages import Package, from_npm, from_pypi, parse_json_in, write

CO2 = Package("@tgwf/co2", "0.19.0", "921bf6ba23bb009d746fab91f40864bf5dbaf109ae7b1dc7ef1c830ed7e77e26")
CO2_YEAR = 2025
CARBONTRACKER = Package("carbontracker", "2.4.7", "b83395096344f6466d526e4f20c12d38bafbfc0a56fd793085b1ac7df8a0aa0f")
CODECARBON = Package("codecarbon", "3.3.2",
                     "05b31dea9dd26ed1e90947973c9ef20c87d127ea71fc32b4cb55a3ec512b8897")


def without_commas(name):
    return name.replace(",", "")


def zone_name(zone):
    """The zone's name, and in brackets the short one (`ERCOT`) where the long one does not hold it."""
    long, short = zone["zoneName"], zone.get("displayName", "")
    both = f"{long} ({short})" if short.lower() not in long.lower() else long
    return without_commas(both)


def electricity_maps():
    script = from_npm(CO2, f"dist/esm/data/electricity-maps/yearly_{CO2_YEAR}.js")
    # JavaScript knows \xE9, JSON does not.
    script = re.sub(r"\\x([0-9A-Fa-f]{2})", r"\\u00\1", script)
    for code, row in parse_json_in(script, "const data = ").items():
        zone, intensity = row["zone"], row["carbonIntensity"]
        assert intensity["unit"] == "gCO2eq/kWh", code
        yield [code, zone_name(zone), zone.get("countryName", ""), CO2_YEAR, intensity["value"]]


def countries():
    text = from_pypi(CARBONTRACKER, "carbontracker/data/carbon-intensities.csv")
    for row in csv.DictReader(io.StringIO(text)):
        grams = row["Carbon intensity of electricity (gCO2eq/kWh)"]
        yield [row["alpha-2"], without_commas(row["Entity"]), row["Year"], grams]


def us_states():
    text = from_pypi(CODECARBON, "codecarbon/data/private_infra/2023/usa_emissions.json")
    table = json.loads(text)
    unit, source = table.pop("_unit"), table.pop("_source")
    assert unit["emissions"] == "lbs/MWh" and source["field"] == "STC2ERTA", (unit, source)
    for name, row in table.items():
        code, name = ("US", "United States") if name == "usa" else (f"US-{row['regionCode']}", name.title())
        yield [code, name.replace(" Of ", " of "), source["year"], row["emissions"]]


def main():
    write("electricity_maps_zones.csv", ["code", "name", "country", "year", "grams_per_kwh"], electricity_maps())
    write("countries.csv", ["code", "name", "year", "grams_per_kwh"], countries())
    write("us_states.csv", ["code", "name", "year", "pounds_per_mwh"], us_states())


if __name__ == "__main__":
    main()
