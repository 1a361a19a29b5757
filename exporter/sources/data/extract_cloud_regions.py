#!/usr/bin/env python3
"""The making of cloud_regions.csv: in which grid zone a cloud region draws its power.

Run it by hand where a pinned version below is raised; neither the build nor the program ever does.
It needs npm and pip, and rewrites the file beside it, byte for byte the same from the same versions.

- @cloud-carbon-footprint/aws and /azure (Apache-2.0): region to Electricity Maps zone. Source `ccf`.
- botocore (Apache-2.0) and oci-common (UPL-1.0 or Apache-2.0): which regions there are; codecarbon (MIT): which of
  Google, and where. The zone is that of the place, from the lists below. Source `place`.
- All other providers: region, zone and place as their documentation names it. Source `place`.
"""

import csv
import io
import json
import re

from packages import Package, from_npm, from_pypi, read, write

AWS = Package("@cloud-carbon-footprint/aws", "0.15.0",
              "64fcc1950518579958f7cd9aa2b8b29c0e077c254c0103c16ff57840a8e6a068")
AZURE = Package("@cloud-carbon-footprint/azure", "1.8.0",
                "d41051eb8c29569bc2764a3b97a07a81e93d1bb2ebeb91a67bddf4fcf8e46e1d")
BOTOCORE = Package("botocore", "1.44.5", "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921")
CODECARBON = Package("codecarbon", "3.3.2",
                     "05b31dea9dd26ed1e90947973c9ef20c87d127ea71fc32b4cb55a3ec512b8897")
OCI_COMMON = Package("oci-common", "2.142.1", "0632b636bb289cb9159569f82ea1c6b418fe4f32874a7801b2776edd5e86d273")

# Region and zone. Where `ccf` has the region as well, what stands here goes before it, and the comment says why.
AWS_ZONES = """
ap-east-1 HK
ap-east-2 TW
ap-south-2 IN-SO
ap-southeast-4 AU-VIC
ap-southeast-5 MY-WM
ap-southeast-6 NZ
ap-southeast-7 TH
ca-west-1 CA-AB
cn-north-1 CN
cn-northwest-1 CN
eu-central-2 CH
eu-south-2 ES
eusc-de-east-1 DE
il-central-1 IL
me-central-1 AE
me-south-1 BH
me-west-1 SA
mx-central-1 MX
sa-west-1 CL-SEN
"""

# Region, zone, place: https://learn.microsoft.com/azure/reliability/regions-list
AZURE_ZONES = """
australiacentral AU-NSW Canberra
australiacentral2 AU-NSW Canberra
australiaeast AU-NSW New South Wales
australiasoutheast AU-VIC Victoria
austriaeast AT Vienna
belgiumcentral BE Brussels
brazilsouth BR-CS Sao Paulo State
brazilsoutheast BR-CS Rio
canadacentral CA-ON Toronto
canadaeast CA-QC Quebec
centralindia IN-WE Pune
centralus US-MIDW-MISO Iowa
chilecentral CL-SEN Santiago
chinaeast CN Shanghai
chinaeast2 CN Shanghai
chinaeast3 CN Shanghai
chinanorth CN Beijing
chinanorth2 CN Beijing
chinanorth3 CN Hebei
denmarkeast DK-DK2 Copenhagen
eastasia HK Hong Kong
eastus US-MIDA-PJM Virginia
eastus2 US-MIDA-PJM Virginia
eastus3 US-SE-SOCO Atlanta
francecentral FR Paris
francesouth FR Marseille
germanynorth DE Berlin
germanywestcentral DE Frankfurt
greececentral GR Athens
indiasouthcentral IN-SO Hyderabad
indonesiacentral ID Jakarta
israelcentral IL Israel
italynorth IT-NO Milan
japaneast JP-TK Tokyo and Saitama
japanwest JP-KN Osaka
jioindiacentral IN-WE Nagpur
jioindiawest IN-WE Jamnagar
koreacentral KR Seoul
koreasouth KR Busan
malaysiawest MY-WM Kuala Lumpur
mexicocentral MX Queretaro State
newzealandnorth NZ Auckland
northcentralus US-MIDA-PJM Illinois
northeurope IE Ireland
norwayeast NO-NO1 Norway
norwaywest NO-NO2 Norway
polandcentral PL Warsaw
qatarcentral QA Doha
southafricanorth ZA Johannesburg
southafricawest ZA Cape Town
southcentralus US-TEX-ERCO Texas
southeastasia SG Singapore
southindia IN-SO Chennai
spaincentral ES Madrid
swedencentral SE-SE3 Gavle
swedensouth SE-SE4 Malmo
switzerlandnorth CH Zurich
switzerlandwest CH Geneva
taiwannorth TW Taipei
uaecentral AE Abu Dhabi
uaenorth AE Dubai
uksouth GB London
ukwest GB Cardiff
usdodcentral US-MIDW-MISO Iowa
usdodeast US-MIDA-PJM Virginia
usgovarizona US-SW-AZPS Arizona
usgovtexas US-TEX-ERCO Texas
usgovvirginia US-MIDA-PJM Virginia
westcentralus US-NW-WACM Wyoming
westeurope NL Netherlands
westindia IN-WE Mumbai
westus US-CAL-CISO California
westus2 US-NW-BPAT Washington
westus3 US-SW-AZPS Phoenix
"""

# Where the lists above differ from `ccf`, on purpose.
AZURE_DIFFERS = {
    "eastus3": "in Georgia, not in PJM",
    "northcentralus": "Chicago's utility (ComEd) is in PJM since 2004, not in MISO",
    "westcentralus": "Cheyenne is in the balancing area of WACM, not of PacifiCorp East",
    "westus2": "Quincy, Washington is far from PacifiCorp East, which is Utah and Wyoming",
    "westus3": "Phoenix is in Arizona, which PacifiCorp East does not serve",
}
# What `ccf` lists and Azure no longer or never offered as a region.
AZURE_NONE = re.compile(r"stage$|euap$|^(unitedstates|usnorth|uk|germany|apeast|apsoutheast|unknown)$")

# Los Angeles is counted to CAISO: what Google publishes for it (https://cloud.google.com/sustainability/region-carbon)
# is what CAISO has, and half of what the city's own utility has.
GCP_ZONES = """
africa-south1 ZA
asia-east1 TW
asia-east2 HK
asia-northeast1 JP-TK
asia-northeast2 JP-KN
asia-northeast3 KR
asia-south1 IN-WE
asia-south2 IN-NO
asia-southeast1 SG
asia-southeast2 ID
asia-southeast3 TH Bangkok
australia-southeast1 AU-NSW
australia-southeast2 AU-VIC
europe-central2 PL
europe-north1 FI
europe-north2 SE-SE3 Stockholm
europe-southwest1 ES
europe-west1 BE
europe-west10 DE
europe-west12 IT-NO
europe-west2 GB
europe-west3 DE
europe-west4 NL
europe-west6 CH
europe-west8 IT-NO
europe-west9 FR
me-central1 QA
me-central2 SA
me-west1 IL
northamerica-northeast1 CA-QC
northamerica-northeast2 CA-ON
northamerica-south1 MX Queretaro
southamerica-east1 BR-CS
southamerica-west1 CL-SEN
us-central1 US-MIDW-MISO
us-east1 US-CAR-SC
us-east4 US-MIDA-PJM
us-east5 US-MIDA-PJM
us-south1 US-TEX-ERCO
us-west1 US-NW-BPAT
us-west2 US-CAL-CISO
us-west3 US-NW-PACE
us-west4 US-NW-NEVP
"""

# https://docs.oracle.com/iaas/Content/General/Concepts/regions.htm
OCI_ZONES = """
af-casablanca-1 MA Casablanca
af-johannesburg-1 ZA Johannesburg
ap-batam-1 ID Batam
ap-chiyoda-1 JP-TK Chiyoda
ap-chuncheon-1 KR Chuncheon
ap-chuncheon-2 KR Chuncheon
ap-dcc-canberra-1 AU-NSW Canberra
ap-dcc-gazipur-1 BD Gazipur
ap-delhi-1 IN-NO Delhi
ap-hyderabad-1 IN-SO Hyderabad
ap-ibaraki-1 JP-KN Ibaraki (Osaka)
ap-kulai-2 MY-WM Kulai
ap-melbourne-1 AU-VIC Melbourne
ap-mumbai-1 IN-WE Mumbai
ap-osaka-1 JP-KN Osaka
ap-seoul-1 KR Seoul
ap-seoul-2 KR Seoul
ap-singapore-1 SG Singapore
ap-singapore-2 SG Singapore
ap-suwon-1 KR Suwon
ap-sydney-1 AU-NSW Sydney
ap-tokyo-1 JP-TK Tokyo
ca-montreal-1 CA-QC Montreal
ca-toronto-1 CA-ON Toronto
eu-amsterdam-1 NL Amsterdam
eu-budapest-1 HU Budapest
eu-crissier-1 CH Crissier
eu-dcc-dublin-1 IE Dublin
eu-dcc-dublin-2 IE Dublin
eu-dcc-milan-1 IT-NO Milan
eu-dcc-milan-2 IT-NO Milan
eu-dcc-rating-1 DE Ratingen
eu-dcc-rating-2 DE Ratingen
eu-dcc-zurich-1 CH Zurich
eu-frankfurt-1 DE Frankfurt
eu-frankfurt-2 DE Frankfurt
eu-jovanovac-1 RS Jovanovac
eu-madrid-1 ES Madrid
eu-madrid-2 ES Madrid
eu-madrid-3 ES Madrid
eu-marseille-1 FR Marseille
eu-milan-1 IT-NO Milan
eu-paris-1 FR Paris
eu-stockholm-1 SE-SE3 Stockholm
eu-turin-1 IT-NO Turin
eu-zurich-1 CH Zurich
il-jerusalem-1 IL Jerusalem
me-abudhabi-1 AE Abu Dhabi
me-abudhabi-2 AE Abu Dhabi
me-abudhabi-3 AE Abu Dhabi
me-abudhabi-4 AE Abu Dhabi
me-alain-1 AE Al Ain
me-alrayyan-1 QA Al Rayyan
me-dcc-doha-1 QA Doha
me-dcc-muscat-1 OM Muscat
me-dubai-1 AE Dubai
me-ibri-1 OM Ibri
me-jeddah-1 SA Jeddah
me-riyadh-1 SA Riyadh
mx-monterrey-1 MX Monterrey
mx-queretaro-1 MX Queretaro
sa-bogota-1 CO Bogota
sa-riodejaneiro-1 BR-CS Rio de Janeiro
sa-santiago-1 CL-SEN Santiago
sa-saopaulo-1 BR-CS Sao Paulo
sa-valparaiso-1 CL-SEN Valparaiso
sa-vinhedo-1 BR-CS Vinhedo
uk-cardiff-1 GB Newport
uk-gov-cardiff-1 GB Newport
uk-gov-london-1 GB London
uk-london-1 GB London
us-ashburn-1 US-MIDA-PJM Ashburn
us-ashburn-2 US-MIDA-PJM Ashburn
us-chicago-1 US-MIDA-PJM Chicago
us-gov-ashburn-1 US-MIDA-PJM Ashburn
us-gov-chicago-1 US-MIDA-PJM Chicago
us-gov-phoenix-1 US-SW-AZPS Phoenix
us-langley-1 US-MIDA-PJM Ashburn
us-luke-1 US-SW-AZPS Phoenix
us-phoenix-1 US-SW-AZPS Phoenix
us-saltlake-2 US-NW-PACE Salt Lake City
us-sanjose-1 US-CAL-CISO San Jose
"""
# Where these are is not published.
OCI_UNPLACED = {"us-newark-1", "us-somerset-1", "us-thames-1"}

# Alibaba is not here: it gives names of AWS' regions to other places, which would make each of them ambiguous.
OTHERS = """
coreweave las1 US-NW-NEVP Las Vegas
coreweave lga1 US-MIDA-PJM Weehawken
coreweave ord1 US-MIDA-PJM Chicago
digitalocean ams2 NL Amsterdam
digitalocean ams3 NL Amsterdam
digitalocean atl1 US-SE-SOCO Atlanta
digitalocean blr1 IN-SO Bangalore
digitalocean fra1 DE Frankfurt
digitalocean lon1 GB London
digitalocean nyc1 US-NY-NYIS New York
digitalocean nyc2 US-NY-NYIS New York
digitalocean nyc3 US-NY-NYIS New York
digitalocean sfo1 US-CAL-CISO San Francisco
digitalocean sfo2 US-CAL-CISO San Francisco
digitalocean sfo3 US-CAL-CISO San Francisco
digitalocean sgp1 SG Singapore
digitalocean syd1 AU-NSW Sydney
digitalocean tor1 CA-ON Toronto
exoscale at-vie-1 AT Vienna
exoscale at-vie-2 AT Vienna
exoscale bg-sof-1 BG Sofia
exoscale ch-dk-2 CH Zurich
exoscale ch-gva-2 CH Geneva
exoscale de-fra-1 DE Frankfurt
exoscale de-muc-1 DE Munich
exoscale hr-zag-1 HR Zagreb
hetzner ash US-MIDA-PJM Ashburn
hetzner fsn1 DE Falkenstein
hetzner hel1 FI Helsinki
hetzner hil US-NW-PGE Hillsboro
hetzner nbg1 DE Nuremberg
hetzner sin SG Singapore
ibm au-syd AU-NSW Sydney
ibm br-sao BR-CS Sao Paulo
ibm ca-mon CA-QC Montreal
ibm ca-tor CA-ON Toronto
ibm eu-de DE Frankfurt
ibm eu-es ES Madrid
ibm eu-fr2 FR Paris
ibm eu-gb GB London
ibm in-che IN-SO Chennai
ibm jp-osa JP-KN Osaka
ibm jp-tok JP-TK Tokyo
ibm us-east US-MIDA-PJM Washington DC
ibm us-south US-TEX-ERCO Dallas
linode ap-northeast JP-TK Tokyo
linode ap-south SG Singapore
linode ap-southeast AU-NSW Sydney
linode ap-west IN-WE Mumbai
linode au-mel AU-VIC Melbourne
linode br-gru BR-CS Sao Paulo
linode ca-central CA-ON Toronto
linode de-fra-2 DE Frankfurt
linode es-mad ES Madrid
linode eu-central DE Frankfurt
linode eu-west GB London
linode fr-par FR Paris
linode gb-lon GB London
linode id-cgk ID Jakarta
linode in-bom-2 IN-WE Mumbai
linode in-maa IN-SO Chennai
linode it-mil IT-NO Milan
linode jp-osa JP-KN Osaka
linode jp-tyo-3 JP-TK Tokyo
linode nl-ams NL Amsterdam
linode se-sto SE-SE3 Stockholm
linode sg-sin-2 SG Singapore
linode us-central US-TEX-ERCO Dallas
linode us-east US-MIDA-PJM Newark
linode us-iad US-MIDA-PJM Washington DC
linode us-lax US-CAL-LDWP Los Angeles
linode us-mia US-FLA-FPL Miami
linode us-ord US-MIDA-PJM Chicago
linode us-sea US-NW-SCL Seattle
linode us-southeast US-SE-SOCO Atlanta
linode us-west US-CAL-CISO Fremont
ovh ap-south-mum IN-WE Mumbai
ovh bhs CA-QC Beauharnois
ovh ca-east-tor CA-ON Toronto
ovh de DE Limburg
ovh eu-south-mil IT-NO Milan
ovh eu-west-par FR Paris
ovh gra FR Gravelines
ovh rbx FR Roubaix
ovh sbg FR Strasbourg
ovh sgp SG Singapore
ovh syd AU-NSW Sydney
ovh uk GB London
ovh us-east-va US-MIDA-PJM Vint Hill
ovh us-west-or US-NW-PGE Hillsboro
ovh waw PL Warsaw
scaleway fr-par FR Paris
scaleway it-mil IT-NO Milan
scaleway nl-ams NL Amsterdam
scaleway pl-waw PL Warsaw
seeweb fro2 IT-CSO Frosinone
upcloud au-syd1 AU-NSW Sydney
upcloud de-fra1 DE Frankfurt
upcloud dk-cph1 DK-DK2 Copenhagen
upcloud es-mad1 ES Madrid
upcloud fi-hel1 FI Helsinki
upcloud fi-hel2 FI Helsinki
upcloud nl-ams1 NL Amsterdam
upcloud no-svg1 NO-NO2 Stavanger
upcloud pl-waw1 PL Warsaw
upcloud se-sto1 SE-SE3 Stockholm
upcloud sg-sin1 SG Singapore
upcloud uk-lon1 GB London
upcloud us-chi1 US-MIDA-PJM Chicago
upcloud us-nyc1 US-NY-NYIS New York
upcloud us-sjo1 US-CAL-CISO San Jose
"""


def listed(text):
    """Zone and place by region; the place may be missing."""
    rows = [line.split(" ", 2) for line in text.split("\n") if line]
    return {region: (zone, *place) for region, zone, *place in rows}


def mapped(script, constants, zones):
    """The object `zones = { [NAMES.KEY]: 'ZONE', … }` of a package, with each key replaced by its constant."""
    body = script.split(f"exports.{zones} = {{")[1].split("}")[0]
    pairs = re.findall(r"\.(\w+?)(?:\.name)?\]: '([^']+)'", body)
    return {constants[key].lower(): zone for key, zone in pairs}


def aws():
    script = from_npm(AWS, "dist/lib/AWSRegions.js")
    constants = dict(re.findall(r'AWS_REGIONS\["(\w+)"\] = "([^"]+)"', script))
    ccf = mapped(script, constants, "AWS_MAPPED_REGIONS_TO_ELECTRICITY_MAPS_ZONES")
    own = listed(AWS_ZONES)
    partitions = json.loads(from_pypi(BOTOCORE, "botocore/data/partitions.json"))["partitions"]
    regions = {code: region["description"] for one in partitions if "-iso" not in one["id"]
               for code, region in one["regions"].items() if not code.endswith("-global")}
    assert regions.keys() == ccf.keys() | own.keys() and not ccf.keys() & own.keys(), \
        regions.keys() ^ (ccf.keys() | own.keys())
    for region, place in regions.items():
        zone, source = (ccf[region], "ccf") if region in ccf else (*own[region], "place")
        yield ["aws", region, place, zone, source]


def azure():
    script = from_npm(AZURE, "dist/lib/AzureRegions.js")
    constants = dict(re.findall(r"(\w+): \{\s*name: '([^']+)'", script))
    ccf = mapped(script, constants, "AZURE_MAPPED_REGIONS_TO_ELECTRICITY_MAPS_ZONES")
    own = listed(AZURE_ZONES)
    missing = {region for region in ccf if not AZURE_NONE.search(region)} - own.keys()
    assert not missing, missing
    differs = {region for region, (zone, _) in own.items() if ccf.get(region, zone) != zone}
    assert differs == AZURE_DIFFERS.keys(), differs ^ AZURE_DIFFERS.keys()
    for region, (zone, place) in own.items():
        yield ["azure", region, place, zone, "ccf" if ccf.get(region) == zone else "place"]


def gcp():
    text = from_pypi(CODECARBON, "codecarbon/data/cloud/impact.csv")
    # The file's own slip of the pen.
    places = {row["region"].replace("cenrtal", "central"): row["city"].replace(",", "")
              for row in csv.DictReader(io.StringIO(text)) if row["provider"] == "gcp"}
    own = listed(GCP_ZONES)
    assert places.keys() <= own.keys(), places.keys() - own.keys()
    for region, (zone, *place) in own.items():
        yield ["gcp", region, *(place or [places[region]]), zone, "place"]


def oci():
    script = from_npm(OCI_COMMON, "lib/region.js")
    regions = set(re.findall(r'register\("([^"]+)"', script)) - OCI_UNPLACED
    own = listed(OCI_ZONES)
    assert own.keys() == regions, own.keys() ^ regions
    for region, (zone, place) in own.items():
        yield ["oci", region, place, zone, "place"]


def others():
    for line in OTHERS.split("\n"):
        if line:
            provider, region, zone, place = line.split(" ", 3)
            yield [provider, region, place, zone, "place"]


def main():
    rows = [*aws(), *azure(), *gcp(), *oci(), *others()]
    known = {row["code"] for name in ("electricity_maps_zones.csv", "countries.csv") for row in read(name)}
    assert all(zone in known for _, _, _, zone, _ in rows), [row for row in rows if row[3] not in known]
    write("cloud_regions.csv", ["provider", "region", "place", "zone", "source"], rows)


if __name__ == "__main__":
    main()
