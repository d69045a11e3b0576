"""Tables between markers, and the plot."""

from xml.sax.saxutils import escape

COLOURS = {"hilbert": "#1b6ca8", "tract": "#b9770e", "onnxruntime": "#7d8a97", "rten": "#a04060"}
TITLES = {"speech_encoder": "speech encoder, a segment of 10 s", "text_encoder": "text encoder, a row of 64 tokens"}


def table(results):
    """Markdown: a heading for the machine, then a table an encoder, the fastest first."""
    blocks = [machine_line(results)]
    for encoder, measured in results["encoders"].items():
        lines = [
            f"{TITLES[encoder][0].upper()}{TITLES[encoder][1:]}:",
            "",
            "| | ms | times ours | signal to noise, dB | load, ms | file, MB | peak memory, MB |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, row in by_time(measured["compared"]):
            noise = min(row["signal_to_noise_db"])
            cells = [
                name,
                f"{row['median_ns'] / 1e6:.2f}",
                f"{row['ratio']:.2f}",
                "the reference" if noise == float("inf") else f"{noise:.1f}",
                f"{row['load_ns'] / 1e6:.0f}",
                f"{row['file_bytes'] / 1e6:.1f}",
                f"{row['peak_bytes'] / 1e6:.0f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def machine_line(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine["versions"].items()))
    load = f"load average {machine['load_average_before']:.1f} before and {results['load_average_after']:.1f} after"
    cores = f"{machine['cores']} cores of a shared virtual machine"
    sets = ", ".join(machine["instruction_sets"])
    return f"{results['date']}, {machine['processor']} ({sets}), {cores}, {load}; {versions}."


def by_time(compared):
    return sorted(compared.items(), key=lambda item: item[1]["median_ns"])


def write_between(path, marker, text):
    """Replaces what stands between `<!-- marker -->` and `<!-- end of marker -->`, each of which must be there once."""
    begin, end = f"<!-- {marker} -->", f"<!-- end of {marker} -->"
    content = path.read_text()
    if content.count(begin) != 1 or content.count(end) != 1 or content.index(begin) > content.index(end):
        raise ValueError(f"{path}: expected {begin} and after it {end}, once each")
    before, after = content.split(begin)[0], content.split(end)[1]
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def plot(results, width=760, bar=20, left=300):
    """Bars of the time of one inference as a multiple of ours, as SVG."""
    parts, y = [], 30
    for encoder, measured in results["encoders"].items():
        parts.append(text(10, y, TITLES[encoder] + ": CPU time, times ours", weight="bold"))
        y += 14
        rows = by_time(measured["compared"])
        scale = (width - left - 60) / max(row["ratio"] for _, row in rows)
        for name, row in rows:
            length = row["ratio"] * scale
            colour = COLOURS[name.split(",")[0]]
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 5}" fill="{colour}"/>')
            parts.append(text(left - 8, y + bar - 8, name, anchor="end"))
            parts.append(text(left + length + 6, y + bar - 8, f"{row['ratio']:.2f}"))
            y += bar
        y += 30
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{y}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def text(x, y, words, anchor="start", weight="normal"):
    style = f'text-anchor="{anchor}" font-weight="{weight}" fill="#222222"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'
