//! Bundles by name: in folders, and the one that is part of the program.

use std::path::Path;

use hilbert_formats::{Bundle, Error};

/// The bundle that is part of this program.
pub(crate) const IN_PLACE: &str = "default";

pub(crate) fn open(name: &str) -> Result<Bundle, Error> {
    match name {
        IN_PLACE => Bundle::from_program(hilbert_models::default_bundle()),
        name => {
            let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
            Bundle::open(&models.join(name).join("bundle"))
        }
    }
}
