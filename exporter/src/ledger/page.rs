//! The ledger as one page: a plot, a table, and nothing that is loaded from elsewhere.

use std::fmt::Write as _;

use hilbert_runtime::selftest::Agreement;

use super::{FEW, Hop, LayerParity, Ledger};

/// Its lines are the plot's: what is more than this is as good as equal.
const MOST_DB: f64 = 150.0;

/// Height of the plot's lines, of all above them, and of the names below; width of the numbers at the left. Pixels.
const HEIGHT: f64 = 280.0;
const TOP: f64 = 12.0;
const NAMES: f64 = 130.0;
const LEFT: f64 = 60.0;

pub(super) fn html(ledger: &Ledger) -> String {
    let title = format!("Parity ledger of {}", escaped(&ledger.bundle));
    let weights = serde_json::json!(ledger.weights);
    let weights = weights.as_str().unwrap_or_default();
    let count = ledger.layers.len();
    let legend: String = shown(ledger)
        .map(|hop| format!("<li class=\"{}\">{}</li>\n", class(hop), hop.title()))
        .collect();
    let (css, script) = (include_str!("page/page.css"), include_str!("page/page.js"));
    let (findings, plot, table) = (findings(ledger), plot(ledger), table(ledger));
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<h1>{title}</h1>
<p>{count} layers, {weights} weights. Signal-to-noise ratio of each layer in dB on the way from the reference to the runtime:
higher is better, {MOST_DB} and more is drawn as {MOST_DB}. Dashed red: the thresholds. A dot of "layer alone" stands
where a layer has rounded weights of its own. Layers of fewer than {FEW} elements are not held to the threshold of rounded weights.</p>
<ul>
{findings}</ul>
<ul class="legend">
{legend}</ul>
<div class="wide">
{plot}</div>
<p><label>Layers whose row holds <input type="search" placeholder="speech.layers"></label></p>
<div class="wide">
{table}</div>
<script>
{script}</script>
</body>
</html>
"#
    )
}

/// Hops that some layer has.
fn shown(ledger: &Ledger) -> impl Iterator<Item = Hop> {
    let has = |hop: &Hop| ledger.layers.iter().any(|layer| layer.hops.contains_key(hop));
    Hop::ALL.into_iter().filter(has)
}

fn findings(ledger: &Ledger) -> String {
    let mut lines = String::new();
    for hop in Hop::ALL {
        let line = match ledger.first_under.get(&hop) {
            Some(name) => format!(
                "{}: first layer under {} dB: <b>{}</b>",
                hop.title(),
                hop.threshold_db(),
                escaped(name)
            ),
            None if shown(ledger).any(|one| one == hop) => {
                format!("{}: no layer under {} dB", hop.title(), hop.threshold_db())
            }
            None => format!("{}: not compared, no golden file with taps was given", hop.title()),
        };
        lines += &format!("<li>{line}</li>\n");
    }
    lines
}

fn plot(ledger: &Ledger) -> String {
    let count = ledger.layers.len().max(2);
    let step = (1000.0 / count as f64).clamp(8.0, 40.0);
    let width = LEFT + step * count as f64;
    let x = |i: usize| LEFT + step * (i as f64 + 0.5);
    let y = |db: f64| TOP + HEIGHT * (1.0 - db.clamp(0.0, MOST_DB) / MOST_DB);
    let height = TOP + HEIGHT + NAMES;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"Signal-to-noise ratio of each layer, dB\">\n"
    );
    let mut line = |class: &str, db: f64, label: &str| {
        let (at, text) = (y(db), LEFT - 6.0);
        svg += &format!(
            "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{width:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{text}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
            at + 3.5
        );
    };
    for db in [0.0, 50.0, 100.0, 150.0] {
        line("grid", db, &db.to_string());
    }
    let mut thresholds: Vec<f64> = shown(ledger).map(Hop::threshold_db).collect();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup_by(|a, b| a.total_cmp(b).is_eq());
    thresholds.into_iter().for_each(|db| line("threshold", db, &db.to_string()));
    for (i, layer) in ledger.layers.iter().enumerate() {
        let (x, y) = (x(i) + 3.0, TOP + HEIGHT + 12.0);
        svg += &format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\" transform=\"rotate(-60 {x:.1} {y:.1})\">{}</text>\n",
            escaped(&layer.name)
        );
    }
    for hop in shown(ledger) {
        let class = class(hop);
        let points = || {
            let of_layer = |(i, layer): (usize, &LayerParity)| {
                let db = layer.hops.get(&hop)?.snr_db;
                // Alone, a layer without weights of its own costs nothing.
                (hop != Hop::Alone || db < MOST_DB).then_some((i, db))
            };
            ledger.layers.iter().enumerate().filter_map(of_layer)
        };
        if hop != Hop::Alone {
            let path: Vec<_> =
                points().map(|(i, db)| format!("{:.1},{:.1}", x(i), y(db))).collect();
            svg += &format!("<polyline class=\"{class}\" points=\"{}\"/>\n", path.join(" "));
        }
        for (i, db) in points() {
            let name = ledger.layers.get(i).map_or("", |layer| &layer.name);
            svg += &format!(
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"><title>{}: {} {db:.1} dB</title></circle>\n",
                x(i),
                y(db),
                escaped(name),
                hop.title()
            );
        }
    }
    svg + "</svg>\n"
}

fn table(ledger: &Ledger) -> String {
    let titles = ["layer", "values"].into_iter().chain(shown(ledger).map(Hop::title));
    let head: String =
        titles.map(|t| format!("<th scope=\"col\"><button>{t}</button></th>")).collect();
    let mut table = format!("<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n");
    for layer in &ledger.layers {
        let (name, graph) = (escaped(&layer.name), escaped(&layer.graph));
        let LayerParity { values, .. } = layer;
        table += &format!(
            "<tr><td data-key=\"{name}\">{name}<small>{graph}</small></td><td data-key=\"{values}\">{values}</td>"
        );
        for hop in shown(ledger) {
            table += &match layer.hops.get(&hop) {
                Some(agreement) => cell(agreement, layer.is_under(hop)),
                None => "<td>&ndash;</td>".to_owned(),
            };
        }
        table += "</tr>\n";
    }
    table + "</tbody>\n</table>\n"
}

fn cell(agreement: &Agreement, under: bool) -> String {
    let Agreement { snr_db, cosine, largest } = agreement;
    let class = if under { " class=\"under\"" } else { "" };
    format!(
        "<td{class} data-key=\"{snr_db}\">{snr_db:.1}<small>cosine {cosine:.6}</small><small>at most {largest:.1e}</small></td>"
    )
}

/// Its name in the style sheet.
fn class(hop: Hop) -> &'static str {
    match hop {
        Hop::ReferenceToFloat => "reference_to_float",
        Hop::FloatToBundle => "float_to_bundle",
        Hop::Alone => "alone",
        Hop::BundleToRuntime => "bundle_to_runtime",
        Hop::EndToEnd => "end_to_end",
    }
}

/// Text that HTML shows as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a string does not fail.
        let _ = match c {
            '&' | '<' | '>' | '"' | '\'' => write!(escaped, "&#{};", u32::from(c)),
            _ => write!(escaped, "{c}"),
        };
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_name_ends_an_element_or_an_attribute() {
        assert_eq!(escaped(r#"<a b="c" d='&'>"#), "&#60;a b=&#34;c&#34; d=&#39;&#38;&#39;&#62;");
        assert_eq!(escaped("speech.layers.0 é"), "speech.layers.0 é");
    }
}
