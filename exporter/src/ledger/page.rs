//! The ledger as a page.

use super::Ledger;

pub(super) fn html(_: &Ledger) -> String {
    String::new()
}
