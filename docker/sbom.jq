# What cargo-sbom says of every system, cut down to the crates that `cargo tree` names for one, with Debian packages added.
([$tree | split("\n")[] | capture("^(?<name>[^ ]+) v(?<version>[^ ]+)")]
    | map({key: "\(.name) \(.version)", value: true}) | from_entries) as $linked
| ([$release | split("\n")[] | capture("^(?<key>[A-Z_]+)=\"?(?<value>[^\"]*)")] | from_entries) as $os
| [
    $packages | split("\n")[] | select(. != "") | split("\t")
    | "pkg:deb/\($os.ID)/\(.[0])@\(.[1] | @uri)?arch=\(.[2])&distro=\($os.ID)-\($os.VERSION_ID)" as $purl
    | {type: "library", name: .[0], version: .[1], purl: $purl, "bom-ref": $purl}
] as $debian
| .components |= (map(select($linked["\(.name) \(.version)"])) + $debian | sort_by(."bom-ref"))
| ([.components[], .metadata.component.components[]] | map({key: ."bom-ref", value: true}) | from_entries) as $known
| .dependencies |= (map(select($known[.ref]) | .dependsOn |= (. // [] | map(select($known[.])) | sort)) | sort_by(.ref))
| del(.serialNumber, .metadata.timestamp, .metadata.authors)
