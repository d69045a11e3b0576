//! One stage at a time, fed with what the reference fed it.

use hilbert_formats::manifest::Features;
use hilbert_runtime::{
    Fused, Input, Modalities, Modality, Pooling, PositionEncoding, TimeSpan, decide,
};

use crate::alignment::check_alignment;
use crate::file::Golden;
use crate::report::{Report, STAGE};

/// Runs every stage of `documents` on its golden input.
pub(crate) fn check_stages(golden: &Golden, documents: &[String]) -> Report {
    let mut report = Report::default();
    for document in documents {
        check_encoders(golden, document, &mut report);
        check_projection(golden, document, &mut report);
        check_cross_attention(golden, document, &mut report);
        check_pooling(golden, document, &mut report);
        check_document(golden, document, &mut report);
        check_experts(golden, document, &mut report);
        check_alignment(golden, document, &mut report);
    }
    report
}

fn check_encoders(golden: &Golden, document: &str, report: &mut Report) {
    let Features::LogMel { hop, n_mels, frames, .. } = golden.model.manifest().features;
    if let Some(log_mel) = golden.input(document, "log_mel") {
        let segments = golden.input(document, "segments").unwrap();
        let expected = golden.output(document, "audio_rows");
        let width = golden.model.speech_encoder().row_width();
        let each = segments
            .chunks_exact(2)
            .zip(log_mel.chunks_exact(n_mels * frames))
            .zip(expected.chunks_exact(width));
        for ((segment, log_mel), expected) in each {
            let real = ((segment[1] - segment[0]) / hop as f64).ceil();
            let mask: Vec<f32> =
                (0..frames).map(|t| if (t as f64) < real { 1.0 } else { 0.0 }).collect();
            let row = golden
                .run("speech_encoder", &[Input::F32(&single(log_mel)), Input::F32(&mask)])
                .swap_remove(0);
            report.compare("audio_rows", document, &double(&row), expected, STAGE);
        }
    }
    if let (Some(tokens), Some(mask)) =
        (golden.input(document, "tokens"), golden.input(document, "token_mask"))
    {
        let expected = golden.output(document, "text_rows");
        let max_tokens = golden.model.manifest().text.max_tokens();
        let each = tokens.chunks_exact(max_tokens).zip(mask.chunks_exact(max_tokens));
        for ((tokens, mask), expected) in
            each.zip(expected.chunks_exact(golden.model.text_encoder().row_width()))
        {
            let tokens: Vec<i64> = tokens.iter().map(|token| *token as i64).collect();
            let row = golden
                .run("text_encoder", &[Input::I64(&tokens), Input::F32(&single(mask))])
                .swap_remove(0);
            report.compare("text_rows", document, &double(&row), expected, STAGE);
        }
    }
}

fn check_projection(golden: &Golden, document: &str, report: &mut Report) {
    let fusion = &golden.model.manifest().fusion;
    let encoding = PositionEncoding::new(fusion.width, fusion.period_min_s, fusion.period_max_s);
    for modality in golden.modalities(document) {
        let rows = golden.output(document, &format!("{modality}_rows"));
        let times = golden.times(document, modality);
        let (mut x, mut scores) = (Vec::new(), Vec::new());
        for (row, times) in rows.chunks_exact(rows.len() / times.len()).zip(&times) {
            let mut position = vec![0.0; fusion.width];
            encoding.encode(times.map(TimeSpan::middle_s), &mut position);
            let outputs = golden.run(
                &format!("project_{modality}"),
                &[Input::F32(&single(row)), Input::F32(&position)],
            );
            x.extend(double(&outputs[0]));
            scores.extend(double(&outputs[1]));
        }
        report.compare(
            &format!("{modality}_x"),
            document,
            &x,
            &golden.output(document, &format!("{modality}_x")),
            STAGE,
        );
        let stage = format!("{modality}_score");
        report.compare(&stage, document, &scores, &golden.output(document, &stage), STAGE);
    }
}

/// One block of queries against one of keys: the golden documents have fewer rows than a block.
fn check_cross_attention(golden: &Golden, document: &str, report: &mut Report) {
    let fusion = &golden.model.manifest().fusion;
    let (block, width) = (fusion.block, fusion.width);
    let padded = |modality: &str| {
        let mut rows = golden
            .any_output(document, &format!("{modality}_x"))
            .map_or(Vec::new(), |x| single(&x));
        let count = rows.len() / width;
        rows.resize(block * width, 0.0);
        (rows, count)
    };
    for modality in golden.modalities(document) {
        let ((queries, count), (keys, key_count)) =
            (padded(modality), padded(if modality == "audio" { "text" } else { "audio" }));
        assert!(count <= block && key_count <= block, "{document}: more rows than one block");
        let mut attended = vec![0.0; block * width];
        if key_count > 0 {
            let bias: Vec<f32> =
                (0..block).map(|k| if k < key_count { 0.0 } else { -1e9 }).collect();
            let inputs = [Input::F32(&queries), Input::F32(&keys), Input::F32(&bias)];
            let outputs = golden.run(&format!("cross_{modality}"), &inputs);
            let depth = width / fusion.heads;
            for (i, numerator) in outputs[0].iter().enumerate() {
                let (head, query, d) = (i / depth / block, i / depth % block, i % depth);
                attended[query * width + head * depth + d] = numerator / outputs[2][i / depth];
            }
        }
        let outputs = golden
            .run(&format!("finish_{modality}"), &[Input::F32(&attended), Input::F32(&queries)]);
        let stage = format!("cross_{modality}");
        report.compare(
            &stage,
            document,
            &double(&outputs[0][..count * width]),
            &golden.output(document, &stage),
            STAGE,
        );
        let stage = format!("cross_{modality}_score");
        report.compare(
            &stage,
            document,
            &double(&outputs[1][..count]),
            &golden.output(document, &stage),
            STAGE,
        );
    }
}

/// The runtime's own pooling, then the runtime's own fusion of the encoders' golden rows.
fn check_pooling(golden: &Golden, document: &str, report: &mut Report) {
    let width = golden.model.manifest().fusion.width;
    let mut rows = golden.model.fusion().document_rows(golden.model.manifest().fusion.n_max);
    for modality in golden.modalities(document) {
        for (x, score, stage) in [
            (format!("{modality}_x"), format!("{modality}_score"), format!("{modality}_pooled")),
            (
                format!("cross_{modality}"),
                format!("cross_{modality}_score"),
                format!("cross_{modality}_pooled"),
            ),
        ] {
            let mut pooling = Pooling::new(width);
            let (x, scores) = (golden.output(document, &x), golden.output(document, &score));
            for (row, score) in x.chunks_exact(width).zip(scores) {
                pooling.push(&single(row), score);
            }
            let mut pooled = vec![0.0; width];
            pooling.pooled(&mut pooled);
            report.compare(
                &stage,
                document,
                &double(&pooled),
                &golden.output(document, &stage),
                STAGE,
            );
        }
        let encoded = golden.output(document, &format!("{modality}_rows"));
        let times = golden.times(document, modality);
        let which = if modality == "audio" { Modality::Audio } else { Modality::Text };
        for (row, times) in encoded.chunks_exact(encoded.len() / times.len()).zip(times) {
            golden.model.fusion().push(&mut rows, which, &single(row), times).unwrap();
        }
    }
    let fused = golden.model.fusion().fuse(&mut rows).unwrap().unwrap();
    for (name, vector) in vectors(&fused) {
        match golden.any_output(document, name) {
            Some(expected) => report.compare(
                &format!("fused {name}"),
                document,
                &double(vector),
                &expected,
                STAGE,
            ),
            None => assert!(
                vector.iter().all(|x| x.abs() == 0.0),
                "{document}: {name} of an absent modality"
            ),
        }
    }
}

/// The vectors of a fused document by their stages.
pub(crate) fn vectors(fused: &Fused) -> [(&'static str, &[f32]); 5] {
    [
        ("audio_pooled", &fused.audio),
        ("text_pooled", &fused.text),
        ("cross_audio_pooled", &fused.cross_audio),
        ("cross_text_pooled", &fused.cross_text),
        ("document", &fused.document),
    ]
    .map(|(stage, vector)| (stage, &**vector))
}

fn check_document(golden: &Golden, document: &str, report: &mut Report) {
    let width = golden.model.manifest().fusion.width;
    let pooled =
        |name| golden.any_output(document, name).map_or(vec![0.0; width], |vector| single(&vector));
    let vectors =
        ["audio_pooled", "text_pooled", "cross_audio_pooled", "cross_text_pooled"].map(pooled);
    let presence =
        ["audio", "text"].map(|m| if golden.modalities(document).contains(&m) { 1.0 } else { 0.0 });
    let [audio, text, cross_audio, cross_text] =
        vectors.each_ref().map(|vector| Input::F32(vector));
    let outputs =
        golden.run("join", &[audio, text, cross_audio, cross_text, Input::F32(&presence)]);
    report.compare(
        "document",
        document,
        &double(&outputs[0]),
        &golden.output(document, "document"),
        STAGE,
    );
}

fn check_experts(golden: &Golden, document: &str, report: &mut Report) {
    let vector = single(&golden.output(document, "document"));
    let count = golden.model.manifest().experts.count;
    let gates = golden.run("router", &[Input::F32(&vector)]).swap_remove(0);
    let golden_gates = golden.output(document, "gates");
    assert!(
        golden.model.manifest().experts.threshold <= 0.0,
        "the router graph returns gates before the threshold"
    );
    report.compare("gates", document, &double(&gates), &golden_gates, STAGE);
    let mut experts = Vec::new();
    for i in 0..count {
        experts.extend(double(&golden.run(&format!("expert_{i}"), &[Input::F32(&vector)])[0]));
    }
    let golden_experts = golden.output(document, "experts");
    report.compare("experts", document, &experts, &golden_experts, STAGE);
    let outputs = golden.model.experts().run(&vector).unwrap();
    let width = golden.model.manifest().experts.width;
    let modalities = match golden.modalities(document).as_slice() {
        ["audio"] => Modalities::Audio,
        ["text"] => Modalities::Text,
        _ => Modalities::AudioText,
    };
    for (k, task) in golden.model.manifest().tasks.iter().enumerate() {
        let gates = &golden_gates[k * count..][..count];
        let mixed = |d: usize| {
            gates.iter().enumerate().map(|(e, gate)| gate * golden_experts[e * width + d]).sum()
        };
        let mixed: Vec<f64> = (0..width).map(mixed).collect();
        let (head, probabilities) =
            (format!("head/{}", task.name), format!("probabilities/{}", task.name));
        let expected = golden.output(document, &head);
        let output = golden
            .run(&format!("head_{}", task.name), &[Input::F32(&single(&mixed))])
            .swap_remove(0);
        report.compare(&head, document, &double(&output), &expected, STAGE);
        report.compare(
            &format!("mixture of {head}"),
            document,
            &double(&outputs[k].output),
            &expected,
            STAGE,
        );
        let forced = experts.chunks_exact(width).flat_map(|expert| {
            let head = format!("head_{}", task.name);
            double(&golden.run(&head, &[Input::F32(&single(expert))])[0])
        });
        let name = format!("forced/{}", task.name);
        let all = forced.collect::<Vec<_>>();
        report.compare(&name, document, &all, &golden.output(document, &name), STAGE);
        let decision = decide(task, modalities, &single(&expected)).unwrap();
        report.compare(
            &probabilities,
            document,
            &decision.probabilities,
            &golden.output(document, &probabilities),
            STAGE,
        );
        // Both have none where the checkpoint has none.
        let sets = format!("sets/{}", task.name);
        let held = decision.sets.iter().flat_map(|set| {
            (0..task.labels.len()).map(|i| f64::from(u8::from(set.labels.contains(&i))))
        });
        let expected = golden.any_output(document, &sets).unwrap_or_default();
        report.compare(&sets, document, &held.collect::<Vec<_>>(), &expected, STAGE);
    }
}

pub(crate) fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|x| *x as f32).collect()
}

pub(crate) fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}
