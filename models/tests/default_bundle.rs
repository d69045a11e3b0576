//! The embedded bundle is the one that its manifest describes.
#![cfg(feature = "default-bundle")]

use std::collections::BTreeSet;

use hilbert_formats::Bundle;
use hilbert_formats::bundle::MANIFEST;
use hilbert_models::default_bundle;

#[test]
fn the_embedded_files_are_those_that_the_manifest_requires() {
    let bundle = Bundle::from_files(default_bundle()).unwrap();
    let embedded: BTreeSet<&str> = default_bundle().iter().map(|(name, _)| *name).collect();
    let required =
        bundle.manifest().files.iter().filter(|file| !file.optional).map(|file| file.path.as_str());
    assert_eq!(embedded, required.chain([MANIFEST]).collect());
}

#[test]
fn each_embedded_file_has_the_size_and_the_hash_of_the_manifest() {
    let bundle = Bundle::from_files(default_bundle()).unwrap();
    let files = bundle.manifest().files.iter().filter(|file| !file.optional);
    let failed: Vec<_> = files.filter_map(|file| bundle.read(&file.path).err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
